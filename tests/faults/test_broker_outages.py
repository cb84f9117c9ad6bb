"""Brokers that crash, that stay away, and that refuse a record."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import psutil

from schemas.partitioning import partition_of
from tests.cluster import Service, wait_for
from tests.faults.rig import CANDLES, LETTERS, PATIENCE, TRADES, Rig, unwritable
from tests.faults.trading import Shape

CRASHES = 2
"""Of each seed."""

OUTAGE_SECONDS = float(os.environ.get("TAPELINE_FAULT_OUTAGE_SECONDS", "20"))
"""How long the broker stays away; a figure of minutes takes as many of the test."""

MOST_GROWTH = 150 << 20
"""Bytes by which a service may grow while it waits: its queues are bounded."""

LINES_A_MINUTE = 60
"""Of its log while the broker is away."""


def test_broker_killed_and_started_again_is_found_again(rig: Rig) -> None:
    story, chance = rig.story(Shape(trades=4_000)), random.Random(rig.seed)
    worker = rig.worker(processors={"store": "rocksdict"})
    with rig.load(story.records, per_second=150):
        for _ in range(CRASHES):
            rig.wait_progress(worker, timeout=40)
            time.sleep(chance.uniform(0, 1))
            with broker_away(rig):
                time.sleep(chance.uniform(0, 1))
    rig.wait_done(worker, timeout=60)
    rig.judge(story)


def test_broker_away_for_long_is_waited_for_in_bounded_memory_and_few_words(rig: Rig) -> None:
    instruments = [f"sim:{rig.name}{number}-USD" for number in range(10)]
    feed = {
        "feed": "simulated",
        "symbols": instruments,
        "channels": ["trade"],
        "options": {"seed": rig.seed, "rate": 60.0, "duplicates": 0.02},
    }
    # So much that the least queue there can be is full long before the broker is back.
    queue = {"queue_bytes": 1 << 20}
    worker = rig.ready_worker(processors={"store": "rocksdict"})
    path = rig.config("ingest", ingest={"feeds": {"line": feed}, "publisher": queue})
    ingest = Service(("ingest", "-c", str(path)), rig.folder / "ingest.log")
    try:
        wait_for(lambda: len(rig.read(CANDLES)) > len(instruments), "the candles of what ingest sends", PATIENCE)
        services = [worker, ingest]
        with broker_away(rig):
            before = [_memory(service) for service in services]
            logged, since = [len(service.text().splitlines()) for service in services], time.monotonic()
            wait_for(lambda: "kafka" in worker.reasons(), "the worker to say that it cannot work", 20)
            time.sleep(OUTAGE_SECONDS)
            for service, memory, lines in zip(services, before, logged, strict=True):
                assert service.process.poll() is None, service.text()[-4_000:]
                assert _memory(service) < memory + MOST_GROWTH
                said = service.text().splitlines()[lines:]
                assert len(said) < 10 + LINES_A_MINUTE * (time.monotonic() - since) / 60, "\n".join(said[-40:])
        worker.wait_ready()
        rig.wait_progress(worker)
        assert ingest.terminate() == 0
        rig.wait_done(worker, timeout=60)
    finally:
        if ingest.process.poll() is None:
            ingest.kill()
    rig.judge(instruments=instruments)
    assert _missing(rig, instruments) == [], "ingest lost trades"


def test_dead_letters_that_cannot_be_written_hold_everything_back_until_they_can(rig: Rig) -> None:
    story, chance = rig.story(Shape(trades=400, too_late=0)), random.Random(rig.seed)
    half = len(story.records) // 2
    worker = rig.ready_worker(processors={"store": "rocksdict", "worker": {"stalled_after_seconds": 60}})
    rig.publish(story.records[:half])
    rig.wait_done(worker)
    poison, key = b"\xff" + chance.randbytes(99), story.instruments[0].encode()
    partition = partition_of(story.instruments[0], 4)
    with unwritable(rig, LETTERS):
        committed, letters = rig.committed(), len(rig.read(LETTERS))
        rig.cluster.publish_bytes(TRADES, key, poison, partition)
        place = rig.cluster.ends(TRADES)[partition] - 1
        rig.publish(story.records[half:])
        wait_for(lambda: not worker.is_ready(), "the worker to say that it cannot work", 20)
        assert LETTERS in " ".join(worker.reasons().values()), worker.reasons()
        time.sleep(chance.uniform(2, 4))
        assert worker.process.poll() is None, worker.text()[-3_000:]
        assert rig.committed()[partition] == committed[partition] <= place, "the poison counts as done"
        assert len(rig.read(LETTERS)) == letters
    worker.wait_ready()
    rig.wait_done(worker)
    rig.judge(story)
    [letter] = rig.letters()
    assert (letter.source_partition, letter.source_offset, letter.key, letter.value) == (partition, place, key, poison)


@contextmanager
def broker_away(rig: Rig) -> Iterator[None]:
    """The broker is killed for the length of the block."""
    rig.stack.kill("kafka")
    try:
        yield
    finally:
        rig.stack.start("kafka")


def _memory(service: Service) -> int:
    return int(psutil.Process(service.process.pid).memory_info().rss)


def _missing(rig: Rig, instruments: list[str]) -> list[tuple[str, int, int]]:
    """Instruments with the trade ids between which some never came."""
    ids: dict[str, set[int]] = {instrument: set() for instrument in instruments}
    for one in rig.read(TRADES):
        if one.record is not None and hasattr(one.record, "trade_id") and one.record.instrument in ids:
            ids[one.record.instrument].add(int(one.record.trade_id))
    return [(name, low, high) for name, found in ids.items() for low, high in pairwise(sorted(found)) if high != low + 1]
