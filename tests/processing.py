"""Trades for the processors, and what must come of them: a plain model over all inputs, whatever happened meanwhile."""

import random
from collections.abc import Callable

from market.candle import CandleEvent
from market.price_change import PriceChangedEvent
from market.trade import GapMark, TimeMark, TradeStreamRecord
from processors.agents import candles, price_changes
from runtime.settings import ProcessorSettings
from tests.builders import MINUTE, START, make_trade
from tests.cluster import Cluster, Service
from tests.folding import Runner, told

Start = Callable[..., Service]

GROUP = "tapeline_processors"
INSTRUMENTS = [f"sim:S{number}-USD" for number in range(12)]
FAST = {
    "worker": {
        "session_timeout_seconds": 6,
        "heartbeat_seconds": 1,
        "stalled_after_seconds": 20,
    }
}


def stream(seed: int, count: int) -> list[TradeStreamRecord]:
    """A few minutes of trades in several instruments, some twice, some late, with gaps, and a time mark for each at the end."""
    shuffler, found, ids = random.Random(seed), list[TradeStreamRecord](), dict.fromkeys(INSTRUMENTS, 0)
    for number in range(count):
        instrument = shuffler.choice(INSTRUMENTS)
        ids[instrument] += 1
        late = 90_000_000 if shuffler.random() < 0.01 else 0
        at = START + number * 5 * MINUTE // count - late
        trade = make_trade(
            ids[instrument], at=at, price=shuffler.randint(90, 110), size=shuffler.randint(1, 9), instrument=instrument
        )
        found += [trade] * (2 if shuffler.random() < 0.02 else 1)
        if shuffler.random() < 0.01:
            gap = GapMark(instrument, at - 2_000_000, at)
            found += [gap, gap._replace(healed=True)] if shuffler.random() < 0.5 else [gap]
    return [*found, *(TimeMark(instrument, START + 10 * MINUTE) for instrument in INSTRUMENTS)]


def model(records: list[TradeStreamRecord]) -> tuple[dict[str, CandleEvent], list[tuple[str, int, int]]]:
    """What the computations make of the records when nothing goes wrong: candles by key, price changes in order."""
    effects = Runner(candles.build(ProcessorSettings()), compiled=False).batch(records)
    changes = Runner(price_changes.build(ProcessorSettings())).batch(records)
    return (
        latest(told(effects)),
        sorted(change_of(event) for event in told(changes)),
    )


def latest(events: list[CandleEvent]) -> dict[str, CandleEvent]:
    return {f"{event.instrument}|{event.open_time}": event for event in sorted(events, key=lambda event: event.version)}


def change_of(event: PriceChangedEvent) -> tuple[str, int, int]:
    return event.instrument, event.received_at, event.new_price


def without_source(event: CandleEvent) -> CandleEvent:
    return event._replace(source_topic="", source_partition=0, source_offset=0)


def everything_committed(cluster: Cluster) -> bool:
    return cluster.all_committed(GROUP, "md.trades")


def check_against_model(cluster: Cluster, records: list[TradeStreamRecord]) -> None:
    expected_candles, expected_changes = model(records)
    stored = cluster.read("md.candles")
    events = [one.record for one in stored]
    assert {key: without_source(event) for key, event in latest(events).items()} == {
        key: without_source(event) for key, event in expected_candles.items()
    }
    by_version: dict[tuple[bytes | None, tuple[int, int]], bytes | None] = {}
    for one in stored:
        assert by_version.setdefault((one.key, one.record.version), one.value) == one.value, "one version, two contents"
    changes = {(one.record.source_partition, one.record.source_offset): one.record for one in cluster.read("md.price-changes")}
    assert sorted(change_of(event) for event in changes.values()) == expected_changes
