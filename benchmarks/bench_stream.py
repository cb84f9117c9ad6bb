"""One-minute candles of a trade stream: our engine beside Kafka Streams, plain Faust and a bare loop over librdkafka.

BENCH_RECORDS, BENCH_ROUNDS, BENCH_CONTESTANTS, BENCH_LIVE_SECONDS and BENCH_SEED scale it; `benchmarks/out/stream.json` keeps
the figures.
"""

import sys

from benchmarks.stream.main import main

if __name__ == "__main__":
    sys.exit(main())
