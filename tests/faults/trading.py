"""Trading that never happened, the same for the same seed: what the fault tests publish.

Trades of a few instruments over a few minutes as a venue's feed would bring them: a little out of order, some of them twice,
some so late that their candle has closed, a few beyond every horizon; with gap marks, healed or not, and time marks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from market.decimals import ONE
from market.trade import GapMark, Side, TimeMark, Trade, TradeStreamRecord
from tests.builders import MINUTE, START

SECOND = 1_000_000
TOO_LATE = 25 * 3_600 * SECOND
"""Behind the latest event time: an hour beyond the horizon for corrections."""


class _Arrival(NamedTuple):
    at: int
    number: int
    record: TradeStreamRecord


@dataclass(frozen=True)
class Shape:
    """How much of what; shares are probabilities for each trade."""

    instruments: int = 6
    minutes: int = 3
    trades: int = 1_500
    duplicates: float = 0.03
    late: float = 0.01
    too_late: float = 0.002
    gaps: float = 0.005
    disorder_seconds: float = 1.5
    mark_seconds: int = 5


@dataclass
class Story:
    """Records in the order in which they are published, and how many of them are what."""

    instruments: list[str]
    records: list[TradeStreamRecord] = field(default_factory=list)
    duplicates: int = 0
    too_late: int = 0


def tell(seed: int, name: str, shape: Shape | None = None, *, begin: int = START, first_id: int = 1) -> Story:
    """A story of instruments of its own, called after `name` (capital letters and digits)."""
    shape, chance = shape or Shape(), random.Random(f"{seed} {name} {begin}")
    story = Story([f"sim:{name}-{number}" for number in range(shape.instruments)])
    numbers = count()
    arrivals = [
        _Arrival(at, next(numbers), record)
        for instrument in story.instruments
        for at, record in _instrument(story, instrument, shape, chance, begin, first_id)
    ]
    story.records = [arrival.record for arrival in sorted(arrivals)]
    return story


def _instrument(
    story: Story, instrument: str, shape: Shape, chance: random.Random, begin: int, first_id: int
) -> Iterator[tuple[int, TradeStreamRecord]]:
    """Records of one instrument with their times of arrival, which rise by event time before disorder."""
    length = shape.minutes * MINUTE
    trades = max(1, shape.trades // shape.instruments)
    price, has_clock = chance.randint(1_000, 9_000), chance.random() < 0.8
    sides: list[Side | None] = ["buy", "sell"] if chance.random() < 0.8 else ["buy", "sell", None]
    for number, offset in enumerate(sorted(chance.randrange(length) for _ in range(trades))):
        time = begin + offset
        price = max(1, price + chance.randint(-25, 25))
        held_back = chance.randint(70, 150) * SECOND if has_clock and chance.random() < shape.late else 0
        arrival = time + round(chance.random() * shape.disorder_seconds * SECOND) + held_back
        size = chance.randint(1, 5_000_000) * ONE // 1_000_000
        trade = _trade(instrument, first_id + number, price * ONE // 100, size, chance.choice(sides), arrival)
        trade = trade._replace(exchange_time=time if has_clock else None)
        yield arrival, trade
        if chance.random() < shape.duplicates:
            again = arrival + chance.randint(0, 30 * SECOND)
            story.duplicates += 1
            # Without a venue's clock the time of receipt is the event time, so that a repetition keeps it.
            yield again, trade._replace(received_at=again if has_clock else arrival)
        if offset > length // 2 and chance.random() < shape.too_late:
            story.too_late += 1
            old = trade._replace(trade_id=f"{trade.trade_id}-old", exchange_time=time - TOO_LATE)
            yield arrival + SECOND, old._replace(received_at=arrival + SECOND)
        if chance.random() < shape.gaps:
            gap = GapMark(instrument, time - chance.randint(1, 90) * SECOND, time + 1)
            yield arrival, gap
            if chance.random() < 0.5:
                yield arrival + chance.randint(1, 60) * SECOND, gap._replace(healed=True)
    for second in range(0, length + 3 * SECOND, shape.mark_seconds * SECOND):
        yield begin + second, TimeMark(instrument, begin + second)


def _trade(instrument: str, number: int, price: int, size: int, side: Side | None, received_at: int) -> Trade:
    return Trade(
        instrument=instrument,
        trade_id=str(number),
        sequence=number,
        price=price,
        size=size,
        side=side,
        exchange_time=None,
        received_at=received_at,
        first_trade_id=str(number),
        last_trade_id=str(number),
    )


def closing(instruments: Iterable[str], at: int) -> list[TradeStreamRecord]:
    """A time mark for each instrument."""
    return [TimeMark(instrument, at) for instrument in instruments]
