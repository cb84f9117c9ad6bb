"""Workers that join, leave, and come back after others have taken their place."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from market.trade import TradeStreamRecord
from tests.builders import MINUTE, START
from tests.faults.rig import SESSION_SECONDS, TRADES, Rig, Worker, until
from tests.faults.trading import Shape, closing

IDLE_AT_MOST = 30.0
"""Seconds after the last change of members within which every partition moves again."""


def test_second_worker_that_joins_leaves_and_joins_under_load_changes_nothing(rig: Rig) -> None:
    story, chance = rig.story(Shape(trades=4_000)), random.Random(rig.seed)
    first = rig.worker("first", fixed=False)
    with rig.load(story.records, per_second=150):
        rig.wait_progress(first)
        second = rig.worker("second", fixed=False, processors={"store": "rocksdict"})
        second.wait_ready()
        time.sleep(chance.uniform(0, 1))
        assert second.terminate() == 0
        rig.wait_progress(first)
        second.start()
        second.wait_ready()
        time.sleep(chance.uniform(0, 1))
    rig.wait_done(first, second, timeout=IDLE_AT_MOST)
    rig.judge(story)


def test_worker_frozen_beyond_its_session_with_unflushed_candles_writes_nothing_over_its_successor(rig: Rig) -> None:
    story, chance = rig.story(Shape(minutes=2)), random.Random(rig.seed)
    third = len(story.records) // 3
    zombie = rig.worker("zombie", processors={"commit_interval_seconds": 2})
    rig.publish(story.records[:third])
    rig.wait_done(zombie)
    _freeze_with_unflushed_candles(rig, zombie, story.records[third : 2 * third])
    heir = rig.worker("heir", processors={"store": "rocksdict"})
    rig.publish(story.records[2 * third :])
    rig.wait_done(heir)
    zombie.resume()
    time.sleep(chance.uniform(3, 5))  # more than its commit interval
    assert rig.is_done(), "the zombie's commit moved the offsets of its successor"
    rig.judge(story)

    zombie.kill()
    heir.kill()
    again = rig.worker("again", fixed=False)  # of what the changelogs hold alone
    epilogue = rig.story(Shape(minutes=2, trades=300), begin=START + MINUTE, first_id=100_000)
    epilogue.records += closing(story.instruments, START + 4 * MINUTE)
    rig.publish(epilogue.records)
    rig.wait_done(again)
    rig.judge(story, epilogue)


def _freeze_with_unflushed_candles(rig: Rig, worker: Worker, records: Sequence[TradeStreamRecord]) -> None:
    """Send records, a part at a time, until the worker is frozen with a part that it has read and not committed."""
    read, part = worker.metric("tapeline_records_in_total", topic=TRADES), len(records) // 5
    for begin in range(0, len(records), part):
        before, read = rig.committed(), read + len(records[begin : begin + part])
        rig.publish(records[begin : begin + part])
        assert until(lambda: worker.metric("tapeline_records_in_total", topic=TRADES) >= read, 10)  # noqa: B023
        worker.pause()
        if rig.committed() == before:
            rig.publish(records[begin + part :])
            time.sleep(SESSION_SECONDS + 1)
            return
        worker.resume()  # it has just committed
    raise AssertionError("the worker committed every part at once")
