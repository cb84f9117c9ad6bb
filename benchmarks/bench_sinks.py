"""Trades into PostgreSQL, with their offsets: our store beside executemany, and beside its own merge fed with prebuilt text.

Then the sink as a user starts it, with 5,000 trades a second: the time until a query finds a trade. BENCH_ROWS, BENCH_ROUNDS
and BENCH_SECONDS scale it; `benchmarks/out/sinks.json` keeps the figures.
"""

import sys

from benchmarks.sinks.main import main

if __name__ == "__main__":
    sys.exit(main())
