"""Who values portfolios at prices from a broker."""

from __future__ import annotations

import sys

import msgspec

from benchmarks.mtm.live import Contestant
from benchmarks.mtm.load import RATE
from benchmarks.stream.contestants.engine import engine
from benchmarks.stream.launch import Launch
from benchmarks.stream.servers import PARTITIONS, Server
from market.valuation_record import Valuation
from runtime.kafka import registry_options
from schemas.registry import Registry
from schemas.topics import VALUATION_LINES, VALUATIONS

_HOUR = 3_600


def tapeline(server: Server) -> Contestant:
    """Our worker, with lines told once an hour: it is totals that are measured."""
    valuation = {"rate_instruments": [RATE], "lines_seconds": _HOUR, "snapshot_seconds": _HOUR}
    launch = engine(agents=["valuations"], valuation=valuation)(server, "mtm")
    with Registry(registry_options(server.settings.registry)) as registry:
        codec = registry.codec([VALUATIONS])

    def decode(value: bytes) -> tuple[str, int | None]:
        record = codec.decode(value)
        if not isinstance(record, Valuation):
            raise TypeError(f"{record} is no valuation")
        return record.portfolio_id, record.oldest_price_at

    return Contestant(Launch(launch.command, launch.group, VALUATIONS.name), decode, VALUATION_LINES.name)


def plain_faust(server: Server) -> Contestant:
    """Faust as its documentation has it used (`faust_mtm.py`)."""
    output = "benchmark.mtm"
    server.create_topic(output)
    environment = {
        "BENCHMARK_KAFKA": server.bootstrap,
        "BENCHMARK_OUTPUT": output,
        "BENCHMARK_PARTITIONS": str(PARTITIONS),
        "BENCHMARK_STATE": str(server.folder / "faust"),
        "BENCHMARK_REGISTRY": str(server.settings.registry.url),
    }
    command = [sys.executable, "-m", "benchmarks.mtm.faust_mtm", "worker", "-l", "warn", "--without-web"]
    return Contestant(Launch(command, "plain_faust", output, environment=environment), _decode_json)


def _decode_json(value: bytes) -> tuple[str, int | None]:
    found = msgspec.json.decode(value)
    return found["portfolio"], found["oldest"]
