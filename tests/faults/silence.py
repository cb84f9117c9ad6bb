"""Instruments that go silent just where one candle ends and the next begins."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from market.candle import CandleEventKind
from tests.builders import MINUTE, START, make_trade
from tests.faults.rig import CANDLES, Rig

Candle = tuple[str, int]
"""Instrument and open time."""


def up_to_the_boundary(rig: Rig) -> list[str]:
    """Instruments whose last trades lie just before, at and just behind the boundary of two candles, and then nothing."""
    chance, offsets = random.Random(rig.seed), [-1, 0, 1]
    instruments = [f"sim:{rig.name}-IDLE{number}" for number in range(len(offsets))]
    for instrument, offset in zip(instruments, offsets, strict=True):
        times = [*sorted(START + chance.randrange(MINUTE - 2) for _ in range(9)), START + MINUTE + offset]
        rig.publish(make_trade(number, at=at, instrument=instrument) for number, at in enumerate(times, start=1))
    return instruments


def each_once(instruments: list[str]) -> dict[Candle, int]:
    """How often each of their candles must be closed."""
    return dict.fromkeys([*((name, START) for name in instruments), *((name, START + MINUTE) for name in instruments[1:])], 1)


def closes(rig: Rig, instruments: Iterable[str]) -> Counter[Candle]:
    """How often each of their candles was closed."""
    names = set(instruments)
    events = [one.record for one in rig.read(CANDLES) if one.record.instrument in names]
    return Counter((event.instrument, event.open_time) for event in events if event.kind is CandleEventKind.CLOSE)
