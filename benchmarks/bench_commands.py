"""Time from a command's sending to its answer, by a worker that has nothing else to do; and to the broker's for comparison.

BENCH_COMMANDS scales it; `benchmarks/out/commands.json` keeps the figures.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from rich.console import Console

from benchmarks.ending import exit_code
from benchmarks.result import keep
from benchmarks.stream.contestants.engine import engine
from benchmarks.stream.measure import Stalled, await_ready
from benchmarks.stream.options import number
from benchmarks.stream.processes import Program
from benchmarks.stream.samples import percentile
from benchmarks.stream.servers import PARTITIONS, Server, servers
from market.decimals import ONE
from market.portfolio import Policy
from market.portfolio_commands import ApplyFill, Command, CreatePortfolio
from runtime.kafka import producer_options, registry_options
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.registry import Registry
from schemas.topics import COMMANDS, REPLIES

RESULT = Path(__file__).parent / "out" / "commands.json"
_GROUP = "commands"
_PORTFOLIO = "bench"
_WARM_UP = 20
_PAUSE_SECONDS = 0.05, 0.35
_PATIENCE_SECONDS = 30.0


def main() -> int:
    """Run it; the exit code."""
    return exit_code(_run, "the worker")


def _run() -> None:
    count = number(os.environ, "BENCH_COMMANDS", 200, least=10)
    with servers([_GROUP]) as running:
        found = _measure(running[_GROUP], count)
    figures = {"commands": float(len(found))}
    for name, times in zip(("append", "answer"), zip(*found, strict=True), strict=True):
        figures |= {f"{name}_p{share}_ms": percentile(times, share / 100) for share in (50, 90, 99)}
    for name, value in figures.items():
        Console().print(f"{name:20} {value:8.1f}", highlight=False)
    keep(RESULT, {"portfolios": figures}, {})


def _measure(server: Server, count: int) -> list[tuple[float, float]]:
    """Milliseconds from sending to the broker's acknowledgement and to the answer, of one command after the other."""
    with Registry(registry_options(server.settings.registry)) as registry:
        codec = registry.codec([COMMANDS, REPLIES])
    launch = engine(agents=["portfolios"])(server, _GROUP)
    server.start_group_at(_GROUP, COMMANDS.name, dict.fromkeys(range(PARTITIONS), 0))
    with Program(launch.command, server.folder / f"{_GROUP}.log", launch.environment) as program:
        await_ready(server, _GROUP, program)
        client, pauses = _Client(server, codec), random.Random(1)
        client.ask(_command(CreatePortfolio, 0, base_currency="USDT", policy=Policy()))
        found = []
        for each in range(1, count + _WARM_UP + 1):
            time.sleep(pauses.uniform(*_PAUSE_SECONDS))
            found.append(client.ask(_fill(each)))
        return found[_WARM_UP:]


def _command(kind: Any, number: int, **fields: Any) -> Command:
    made: Command = kind(
        portfolio_id=_PORTFOLIO,
        command_id=str(number),
        expected_version=number,
        actor="benchmark",
        issued_at=time.time_ns() // 1000,
        **fields,
    )
    return made


def _fill(number: int) -> Command:
    """A fill in one of a hundred positions."""
    instrument = f"sim:S{number % 100:03d}-USD"
    unknown = dict.fromkeys(("position_id", "fee_currency", "multiplier", "settlement", "trade_id", "executed_at"))
    return _command(
        ApplyFill, number, instrument=instrument, quantity=ONE, price=number * ONE, fee=0, currency="USD", **unknown
    )


class _Client:
    """Sends commands and waits for their answers."""

    def __init__(self, server: Server, codec: Codec) -> None:
        self._codec = codec
        self._partition = partition_of(_PORTFOLIO, PARTITIONS)
        self._producer = Producer(producer_options(server.settings.kafka, "benchmark", linger_seconds=0.0))
        self._consumer = Consumer({"bootstrap.servers": server.bootstrap, "group.id": "benchmark"})
        self._consumer.assign([TopicPartition(REPLIES.name, self._partition, 0)])

    def ask(self, command: Command) -> tuple[float, float]:
        """Milliseconds until a command is appended and until it is answered. Raises Stalled when it is not accepted."""
        value = self._codec.encode(COMMANDS.name, command)
        began = time.monotonic()
        self._producer.produce(COMMANDS.name, value, _PORTFOLIO.encode(), self._partition)
        self._producer.flush(_PATIENCE_SECONDS)
        appended = time.monotonic() - began
        message = self._consumer.poll(_PATIENCE_SECONDS)
        answered = time.monotonic() - began
        reply: Any = None if message is None or message.error() else self._codec.decode(message.value())
        if reply is None or not reply.accepted or reply.command_id != command.command_id:
            raise Stalled(f"answered command {command.command_id} by {reply}")
        return appended * 1000, answered * 1000


if __name__ == "__main__":
    sys.exit(main())
