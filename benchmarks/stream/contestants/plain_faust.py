"""Faust as its documentation has it used (`programs/faust_candles.py`)."""

from __future__ import annotations

import sys

from benchmarks.stream.launch import Launch
from benchmarks.stream.outputs import decode_json
from benchmarks.stream.servers import PARTITIONS, Server


def plain_faust(server: Server, group: str) -> Launch:
    """One event at a time."""
    output = f"benchmark.{group}"
    server.create_topic(output)
    environment = {
        "BENCHMARK_KAFKA": server.bootstrap,
        "BENCHMARK_GROUP": group,
        "BENCHMARK_OUTPUT": output,
        "BENCHMARK_PARTITIONS": str(PARTITIONS),
        "BENCHMARK_TRADE_SCHEMA": str(server.schema_ids.trade),
        "BENCHMARK_STATE": str(server.folder / group),
    }
    command = [sys.executable, "-m", "benchmarks.stream.programs.faust_candles", "worker", "-l", "warn", "--without-web"]
    return Launch(command, group, output, decode_json, environment)
