"""A worker whose line to the broker is slow, cut, or swallows everything."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Shared
from tests.faults.proxy import Line
from tests.faults.rig import Rig, Worker
from tests.faults.trading import Shape

BLACK_HOLE_SECONDS = float(os.environ.get("TAPELINE_FAULT_BLACK_HOLE_SECONDS", "9"))
"""Longer than a session; a figure of minutes takes as many of the test."""

DISTURBED_SECONDS = 4.0
SHAPE = Shape(trades=1_000)


@pytest.fixture(scope="module")
def far_worker(shared: Shared, line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Worker]]:
    """A worker at the far end of the line; it must outlive all that happens to the line."""
    folder = tmp_path_factory.mktemp("far")
    rig = Rig(shared.cluster(folder), shared.stack, folder, seed=0)
    worker = rig.ready_worker("far", kafka={"bootstrap": line.address}, processors={"store": "rocksdict"})
    shared.has_standing_worker = True
    yield rig, worker
    shared.has_standing_worker = False
    rig.end()


@pytest.fixture
def far(far_worker: tuple[Rig, Worker], line: Line, tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Rig]:
    """A test's own instruments before that worker, on a line that is mended afterwards."""
    owner, worker = far_worker
    rig = Rig(owner.cluster, owner.stack, tmp_path_factory.mktemp("case"), seed, application=owner.application)
    rig.workers.append(worker)
    yield rig
    line.mend()


def caught_up(rig: Rig, timeout: float = 30) -> None:
    rig.wait_done(*rig.workers, timeout=timeout)


def test_line_that_is_reset_again_and_again(far: Rig, line: Line) -> None:
    story, chance = far.story(SHAPE), random.Random(far.seed)
    with far.load(story.records, per_second=300):
        for _ in range(6):
            assert line.reset()
            time.sleep(chance.uniform(0, 2 * DISTURBED_SECONDS / 6))
    caught_up(far)
    far.judge(story)


def test_line_that_is_late(far: Rig, line: Line) -> None:
    story, line.latency = far.story(SHAPE), 0.3
    with far.load(story.records, per_second=300):
        time.sleep(DISTURBED_SECONDS)
    caught_up(far)
    far.judge(story)


def test_line_that_is_narrow(far: Rig, line: Line) -> None:
    story, line.bytes_per_second = far.story(SHAPE), 64 * 1024
    with far.load(story.records, per_second=300):
        time.sleep(DISTURBED_SECONDS)
    caught_up(far)
    far.judge(story)


def test_line_that_is_cut_in_the_middle_of_frames(far: Rig, line: Line) -> None:
    story, chance = far.story(SHAPE), random.Random(far.seed)
    before = line.cuts
    line.cut_after = lambda: chance.randint(1, 6_000)
    line.reset()  # so that all connections are new
    with far.load(story.records, per_second=300):
        time.sleep(DISTURBED_SECONDS)
    assert line.cuts > before, "nothing was cut"
    line.mend()
    caught_up(far)
    far.judge(story)


def test_line_that_swallows_everything_for_longer_than_a_session(far: Rig, line: Line) -> None:
    story, chance = far.story(SHAPE), random.Random(far.seed)
    (worker,) = far.workers
    with far.load(story.records, per_second=300):
        time.sleep(chance.uniform(0, 1))
        line.is_silent = True
        time.sleep(BLACK_HOLE_SECONDS)
        assert not worker.is_ready(), "the worker does not notice that nobody answers"
        line.mend()
    caught_up(far, timeout=40)
    worker.wait_ready()
    far.judge(story)
