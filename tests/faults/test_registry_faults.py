"""Schema registries that are away, slow or out of order."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

import pytest

from tests.cluster import wait_for
from tests.faults.registry_front import Mode, RegistryFront
from tests.faults.rig import Rig, Worker, until
from tests.faults.trading import Shape
from tests.faults.writers import publish_with, register

BEAT_SECONDS = 1.0
LONGEST_STALL = 0.5
"""Seconds by which a beat may be late; a loop that waits for a registry of these tests misses several."""


@pytest.fixture
def front(rig: Rig) -> Iterator[RegistryFront]:
    with RegistryFront(rig.cluster.servers.registry) as front:
        yield front


def test_registry_out_of_order_at_the_start_is_named_and_ends_the_worker(rig: Rig, front: RegistryFront) -> None:
    front.mode = (Mode.DOWN, Mode.ERROR, Mode.GARBAGE)[rig.seed % 3]
    worker = rig.worker(registry={"url": front.url, "timeout_seconds": 2})
    assert worker.process.wait(30) not in (0, None)
    text = worker.text()
    assert front.url in text, text[-3_000:]
    assert "Traceback" not in text, text[-3_000:]


def test_registry_out_of_order_holds_back_unknown_schemas_alone_and_stalls_nothing(rig: Rig, front: RegistryFront) -> None:
    story, chance = rig.story(Shape(trades=1_500, too_late=0)), random.Random(rig.seed)
    modes = [Mode.DOWN, Mode.SLOW, Mode.ERROR, Mode.GARBAGE]
    chance.shuffle(modes)
    worker = rig.worker(registry={"url": front.url, "timeout_seconds": 2}, processors={"store": "rocksdict"})
    parts = len(modes) + 1
    step = len(story.records) // parts
    rig.publish(story.records[:step])
    rig.wait_done(worker)
    for number, mode in enumerate(modes, start=1):
        part = story.records[number * step : (number + 1) * step if number < len(modes) else None]
        front.mode = mode
        rig.publish(part[: step // 2])
        rig.wait_done(worker, timeout=20)  # known schemas need no registry
        asked = front.asked
        publish_with(rig, register(rig, f"added_{rig.name.lower()}_{number}"), part[step // 2 :])
        assert until(lambda asked=asked: front.asked > asked, 10), "the registry was not asked"  # type: ignore[misc]
        wait_for(lambda: "registry" in worker.reasons(), "the worker to say what it waits for", 20)
        assert longest_stall(worker, 1.5) < LONGEST_STALL
        assert not rig.is_done(), "records of an unknown schema count as done"
        front.mode = Mode.GOOD
        rig.wait_done(worker, timeout=30)
    worker.wait_ready()
    rig.judge(story)
    assert rig.letters() == []


def longest_stall(worker: Worker, seconds: float) -> float:
    """Seconds by which the worker's event loop was late at most while it was watched."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        longest = max(longest, json.loads(worker.get("/healthz")[1])["seconds_since_beat"] - BEAT_SECONDS)
        time.sleep(0.02)
    return longest
