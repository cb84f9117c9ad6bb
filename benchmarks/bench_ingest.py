"""Recorded frames of Binance into Kafka: our ingest beside cryptofeed's feed, and beside librdkafka given prebuilt bytes.

Then what our ingest keeps in memory while the broker stands still. cryptofeed is installed into the user's cache at first.
BENCH_FRAMES, BENCH_ROUNDS, BENCH_CONTESTANTS, BENCH_LOADS and BENCH_SLOW_SECONDS scale it; `benchmarks/out/ingest.json` keeps
the figures.
"""

import sys

from benchmarks.ingest.main import main

if __name__ == "__main__":
    sys.exit(main())
