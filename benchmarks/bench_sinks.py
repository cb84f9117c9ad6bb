"""Trades into PostgreSQL, with their offsets: our store beside executemany, and beside its own merge fed with prebuilt text.

BENCH_ROWS and BENCH_ROUNDS scale it; `benchmarks/out/sinks.json` keeps the figures.
"""

import sys

from benchmarks.sinks.main import main

if __name__ == "__main__":
    sys.exit(main())
