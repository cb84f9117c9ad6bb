"""Time until a worker with a million keys of state is processing again, on a kept data folder and on an empty one.

BENCH_KEYS and BENCH_ROUNDS scale it; `benchmarks/out/restart.json` keeps the figures.
"""

import sys

from benchmarks.stream.restart import main

if __name__ == "__main__":
    sys.exit(main())
