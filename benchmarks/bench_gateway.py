"""Trades of a topic to many WebSocket clients: the gateway as it is shipped, beside a `websockets` server that broadcasts.

BENCH_ROUNDS, BENCH_SECONDS, BENCH_PROCESSES and BENCH_LARGE (clients of the largest run, 0 for none) scale it;
`benchmarks/out/gateway.json` keeps the figures.
"""

import sys

from benchmarks.gateway.main import main

if __name__ == "__main__":
    sys.exit(main())
