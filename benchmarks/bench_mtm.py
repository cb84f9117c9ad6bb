"""Mark-to-market: full revaluation, and a batch of prices to readable totals, of 10,000 portfolios × 100 positions.

BENCH_PORTFOLIOS, BENCH_POSITIONS, BENCH_SYMBOLS and BENCH_ROUNDS scale it; `benchmarks/out/mtm.json` keeps the figures.
"""

import sys

from benchmarks.mtm.main import main

if __name__ == "__main__":
    sys.exit(main())
