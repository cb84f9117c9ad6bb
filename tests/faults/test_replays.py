"""What is told live, with kills and rebalances in between, is what a replay tells."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any

import pytest

from market.candle import CandleEvent
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from tapeline.commands.topics import apply_topics
from tests.builders import MINUTE, START
from tests.faults import verdict
from tests.faults.rig import CANDLES, CHANGES, TRADES, Rig
from tests.faults.trading import Shape, closing
from tests.settled import differences, settled

INTERVALS = ["1m", "5m", "15m", "1h", "4h", "1d"]
AGENTS = ("candles", "price_changes", "quality")
KILLS = 3
DAY = 24 * 60 * MINUTE


@pytest.mark.short
def test_live_stream_with_kills_and_rebalances_ends_in_what_its_replay_tells(rig: Rig) -> None:
    story, chance = rig.story(Shape(minutes=6, trades=3_000)), random.Random(rig.seed)
    story.records += closing(story.instruments, START + 2 * DAY)
    rig.agents = AGENTS
    apply_topics(rig.settings())
    first = rig.worker("first", processors={"intervals": INTERVALS, "store": "rocksdict"})
    second = rig.worker("second", processors={"intervals": INTERVALS}, fixed=False)
    with rig.load(story.records, per_second=400):
        for _ in range(KILLS):
            worker = chance.choice([first, second])
            rig.wait_progress(worker)
            time.sleep(chance.uniform(0, 0.5))
            worker.kill()
            worker.start()
        rig.wait_progress(first)
    rig.wait_done(first, second)
    live = told(rig)
    for worker in (first, second):
        worker.kill()

    replay = rig.replay()
    rig.workers.append(replay.ready_worker("replay", processors={"intervals": INTERVALS, "compiled": "off"}))
    replay.wait_done(*replay.workers)
    replayed = told(replay)
    replay.end()

    names = set(story.instruments)
    assert differences(settled(of(names, live)), settled(of(names, replayed))) == {}
    settled(of(names, live + replayed))  # one version, one content, also between the two
    assert {event.interval for event in of(names, live) if isinstance(event, CandleEvent)} == set(INTERVALS)
    assert {type(record) for record in of(names, live)} == {CandleEvent, PriceChangedEvent, QualityEvent, QualityScore}
    wanted = verdict.expected(rig.read(TRADES), names)
    minutes = [one for one in rig.read(CANDLES) if one.record.interval == "1m"]
    verdict.check_candles(wanted, minutes)
    verdict.check_changes(wanted, rig.read(CHANGES))


def told(rig: Rig) -> list[Any]:
    """All records that came into the topics of results since the application began."""
    return [one.record for topic in (CANDLES, CHANGES, "md.quality") for one in rig.read(topic)]


def of(instruments: set[str], records: Iterable[Any]) -> list[Any]:
    """The records of these instruments."""
    return [record for record in records if record.instrument in instruments]
