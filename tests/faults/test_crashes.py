"""Workers that are killed or stopped at bad moments."""

from __future__ import annotations

import random
import shutil
import signal
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from schemas.partitioning import partition_of
from tests.builders import MINUTE, START
from tests.faults.registry_front import Mode, RegistryFront
from tests.faults.rig import BACK_WITHIN, LETTERS, PATIENCE, TAPELINE, TRADES, Rig, Worker, until, unwritable
from tests.faults.silence import closes, each_once, up_to_the_boundary
from tests.faults.trading import Shape, closing

KILLS = 7
"""Of each seed: with three of them more than twenty."""

STOPPED_WITHIN = 15.0


def store_of(seed: int) -> str:
    return "rocksdict" if seed % 2 else "memory"


@pytest.mark.short
def test_worker_killed_at_random_moments_loses_and_doubles_nothing(rig: Rig) -> None:
    story, chance = rig.story(Shape(trades=4_000)), random.Random(rig.seed)
    worker = rig.ready_worker(processors={"store": store_of(rig.seed)})
    with rig.load(story.records, per_second=150):
        for _ in range(KILLS):
            if chance.random() < 0.3:
                time.sleep(chance.uniform(0, 3))  # perhaps while it starts
            else:
                rig.wait_progress(worker, BACK_WITHIN)
                time.sleep(chance.uniform(0, 0.6))
            worker.kill()
            worker.start()
        rig.wait_progress(worker, BACK_WITHIN)
    rig.wait_done(worker)
    rig.judge(story)


def test_broker_frozen_for_a_moment_and_the_worker_killed_at_its_next_commit_lose_nothing(rig: Rig) -> None:
    story, chance = rig.story(), random.Random(rig.seed)
    worker = rig.ready_worker(processors={"store": store_of(rig.seed)})
    with rig.load(story.records, per_second=150):
        rig.wait_progress(worker)
        rig.stack.pause("kafka")
        time.sleep(chance.uniform(1, 2))
        rig.stack.resume("kafka")
        before = rig.committed()
        assert until(lambda: rig.committed() != before, PATIENCE), "nothing was committed after the broker woke up"
        worker.kill()
    again = rig.worker("again", fixed=False)  # its tables are rebuilt from the changelogs alone
    rig.wait_done(again)
    rig.judge(story)


def test_worker_stopped_under_load_ends_in_order(rig: Rig) -> None:
    story = rig.story()
    worker = rig.ready_worker(processors={"store": store_of(rig.seed)})
    with rig.load(story.records, per_second=400):
        rig.wait_progress(worker)
        time.sleep(random.Random(rig.seed).uniform(0, 1))
        assert worker.terminate(15) == 0
    worker.start()
    rig.wait_done(worker)
    rig.judge(story)


def rigged(rig: Rig, point: str, most: int) -> Worker:
    """A worker that kills itself when it has passed a point of its commits a few times; always in one place."""
    passes = random.Random(f"{rig.seed}{point}").randint(0, most)
    launcher = (sys.executable, "-m", "tests.faults.rigged_worker", point, str(passes))
    return rig.worker("rigged", launcher=launcher, processors={"store": "rocksdict"})


def wait_killed(worker: Worker) -> None:
    """Wait until a rigged worker has killed itself."""
    assert worker.process.wait(PATIENCE) == -signal.SIGKILL, worker.text()[-3_000:]


def test_worker_killed_with_its_outputs_out_and_its_tables_unwritten_repeats_the_same_outputs(rig: Rig) -> None:
    story = rig.story(Shape(trades=1_200))
    worker = rigged(rig, "outputs-acknowledged", most=12)
    worker.wait_ready()
    with rig.load(story.records, per_second=200):
        wait_killed(worker)
    worker.launcher = TAPELINE
    worker.start()
    rig.wait_done(worker)
    rig.judge(story)


def test_worker_killed_around_the_write_of_its_tables_counts_nothing_twice_with_them_or_without(rig: Rig) -> None:
    story = rig.story(Shape(trades=1_200))
    half = len(story.records) // 2
    worker = rigged(rig, "changelog-acknowledged", most=8)
    worker.wait_ready()
    with rig.load(story.records[:half], per_second=150):
        wait_killed(worker)
    worker = rigged(rig, "store-written", most=0)  # perhaps dead before it is ready: what the first left is there already
    with rig.load(story.records[half:], per_second=150):
        wait_killed(worker)
    shutil.rmtree(rig.folder / "state-rigged")
    worker.launcher = TAPELINE
    worker.start()
    rig.wait_done(worker)
    rig.judge(story)


def test_worker_stopped_while_it_waits_for_a_server_ends_in_order_and_in_time(rig: Rig) -> None:
    story, cause = rig.story(Shape(trades=600)), ("registry", "dead letters", "broker")[rig.seed % 3]
    half = len(story.records) // 2
    with RegistryFront(rig.cluster.servers.registry) as front:
        worker = rig.worker(registry={"url": front.url, "timeout_seconds": 2})
        rig.publish(story.records[:half])
        rig.wait_done(worker)
        with hanging(rig, cause, front, story.instruments[0]):
            if cause != "broker":
                rig.publish(story.records[half:])
            time.sleep(random.Random(rig.seed).uniform(1, 3))
            started = time.monotonic()
            assert worker.terminate(20) == 0, worker.text()[-3_000:]
            assert time.monotonic() - started <= STOPPED_WITHIN
        if cause == "broker":
            rig.publish(story.records[half:])
        worker.start()
        rig.wait_done(worker)
    rig.judge(story)


@contextmanager
def hanging(rig: Rig, cause: str, front: RegistryFront, instrument: str) -> Iterator[None]:
    """Have the worker wait for a server within the block."""
    partition, key = partition_of(instrument, 4), instrument.encode()
    with ExitStack() as stack:
        if cause == "registry":
            front.mode = Mode.DOWN
            rig.cluster.publish_bytes(TRADES, key, struct.pack(">bI", 0, 5_000_000 + rig.seed) + b"anything", partition)
        elif cause == "dead letters":
            stack.enter_context(unwritable(rig, LETTERS))
            rig.cluster.publish_bytes(TRADES, key, b"poison", partition)
        else:
            rig.cluster.publish_bytes(TRADES, key, b"poison", partition)
            rig.stack.pause("kafka")
            stack.callback(rig.stack.resume, "kafka")
        yield
        front.mode = Mode.GOOD


def test_restart_between_the_last_trade_and_the_close_of_everything_closes_each_candle_once(rig: Rig) -> None:
    worker = rig.worker(processors={"store": "rocksdict" if rig.seed % 2 else "memory"})
    idle = up_to_the_boundary(rig)
    rig.wait_done(worker)
    if rig.seed % 2:
        assert worker.terminate() == 0
    else:
        worker.kill()
    worker.start()
    worker.wait_ready()
    time.sleep(random.Random(rig.seed).uniform(0, 1))
    assert not closes(rig, idle), "closed although no time has passed in the stream"
    rig.publish(closing(idle, START + 3 * MINUTE))
    rig.wait_done(worker)
    rig.judge(instruments=idle)
    assert closes(rig, idle) == each_once(idle)
