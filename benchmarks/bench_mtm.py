"""Mark-to-market: full revaluation, and a batch of prices to readable totals, of 10,000 portfolios × 100 positions.

Then the same through a broker: a batch of prices to the last of all totals appended, and one price to those of a hundred
portfolios; and both at a tenth of portfolios and positions beside a plain Faust agent. The worker tells every line once before,
which takes minutes.

BENCH_PORTFOLIOS, BENCH_POSITIONS, BENCH_SYMBOLS, BENCH_ROUNDS and BENCH_LIVE_ROUNDS (0: without the broker) scale it;
`benchmarks/out/mtm.json` keeps the figures.
"""

import sys

from benchmarks.mtm.main import main

if __name__ == "__main__":
    sys.exit(main())
