"""The program of a later day, whose trades have a field more: with its migration, old and new records land side by side."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, ignore_patterns

from sinks.stores._postgres_migrations import shipped
from tests.builders import START, make_trade
from tests.cluster import ROOT, Cluster, Service, wait_for
from tests.sink_running import Sink, Start

OURS = ("market", "schemas", "sinks")
OTHERS = ("runtime", "tapeline")
MIGRATION = "ALTER TABLE trades ADD COLUMN liquidation boolean NOT NULL DEFAULT false;\n"
FIELD = '{"name": "liquidation", "type": "boolean", "doc": "Whether the venue closed a position by it.", "default": false}'
CHANGES = (
    ("market/trade.py", "    trade_count: int = 1\n    published_at: int | None = None\n", "    liquidation: bool = False\n"),
    (
        "schemas/trade.avsc",
        '"doc": "When the record was handed to the broker, our clock.", "default": null}',
        f",\n    {FIELD}",
    ),
    ("sinks/stores/_postgres_tables.py", '"trade_count", "source_partition", "source_offset"', ', "liquidation"'),
    (
        "sinks/stores/_postgres_rows.py",
        r"{trade.trade_count}\t{source.partition}\t{source.offset}",
        r"\t{flag(trade.liquidation)}",
    ),
)
"""Of each file a piece, and what comes behind it."""

PUBLISH = """
import sys
from pathlib import Path
from confluent_kafka import Producer
from runtime.kafka import producer_options, registry_options
from runtime.settings import load
from schemas.partitioning import partition_of
from schemas.registry import Registry
from schemas.topics import TRADES
from tests.builders import START, make_trade
settings = load(Path(sys.argv[1]))
with Registry(registry_options(settings.registry)) as registry:
    codec = registry.codec([TRADES])
producer = Producer(producer_options(settings.kafka, "later"))
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    trade = make_trade(number, at=START + number)._replace(liquidation=number % 2 == 0)
    key, partition_id = TRADES.place(trade)
    partition = partition_of(partition_id, TRADES.partitions(settings.topics.partitions))
    producer.produce(TRADES.name, key=key, value=codec.encode(TRADES.name, trade), partition=partition)
assert producer.flush(30) == 0
"""


def later_program(folder: Path) -> Path:
    """A copy of the program that has the changes."""
    for name in OURS:
        copytree(ROOT / name, folder / name, ignore=ignore_patterns("__pycache__"))
    for name in (*OTHERS, "tests"):
        (folder / name).symlink_to(ROOT / name)
    for name, place, more in CHANGES:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(place) == 1, name
        path.write_text(text.replace(place, place + more), encoding="utf-8")
    (folder / "sinks" / "migrations" / f"{shipped()[-1].number + 1:04d}_liquidations.sql").write_text(
        MIGRATION, encoding="utf-8"
    )
    return folder


def runner(folder: Path) -> Callable[..., str]:
    """Run Python in a folder to its end; what it says."""

    def run(*arguments: str | os.PathLike[str]) -> str:
        environment = {**os.environ, "PYTHONPATH": os.fspath(folder)}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def later_launcher(folder: Path) -> tuple[str, ...]:
    """What starts a service in a folder."""
    return "env", "-C", os.fspath(folder), f"PYTHONPATH={folder}", sys.executable, "-m", "tapeline"


def test_records_with_and_without_a_new_field_land_together(
    cluster: Cluster, start: Start, database: str, tmp_path: Path
) -> None:
    sink = Sink(cluster, start, database)
    old = [make_trade(number, at=START + number) for number in range(60)]
    cluster.publish("md.trades", old[:20])
    first = sink.start()
    wait_for(sink.is_level, "the old records to be stored", every=0.2)
    assert first.terminate() == 0

    run, config = runner(later_program(tmp_path / "later")), sink.config()
    run("-m", "tapeline", "topics", "apply", "-c", config)
    run("-c", PUBLISH, config, "20", "30")
    cluster.publish("md.trades", old[30:40])
    assert re.search(r"applied \d{4}_liquidations", run("-m", "tapeline", "sink", "migrate", "-c", config))
    arguments = "sink", "postgres", "-c", os.fspath(config)
    worker = Service(arguments, tmp_path / "later.log", later_launcher(tmp_path / "later"))
    try:
        wait_for(sink.is_level, "old and new records to be stored", every=0.2)
        run("-c", PUBLISH, config, "40", "50")
        cluster.publish("md.trades", old[50:])
        wait_for(sink.is_level, "the rest to be stored", every=0.2)
        assert worker.terminate() == 0
    finally:
        worker.kill()
    rows = sink.database.query("SELECT trade_id::integer, liquidation FROM trades ORDER BY 1")
    assert rows == [(number, number // 10 in (2, 4) and number % 2 == 0) for number in range(60)]
    assert cluster.read("dlq") == []
