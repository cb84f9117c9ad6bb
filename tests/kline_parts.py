"""Candles and klines of one instrument for tests of their comparison."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from market.candle import CandleEvent, CandleEventKind
from market.decimals import ONE
from market.quality_event import QualityEvent
from market.quote import Kline
from tests.builders import INSTRUMENT, MINUTE, START


def candle(minute: int, volume: int = 1, *, revision: int = 1, instrument: str = INSTRUMENT, **changed: Any) -> CandleEvent:
    """The event of a closed candle of a minute after START; price 100, volume in whole units."""
    open_time = START + minute * MINUTE
    event = CandleEvent(
        instrument=instrument,
        interval="1m",
        open_time=open_time,
        close_time=open_time + MINUTE,
        kind=CandleEventKind.CLOSE if revision == 1 else CandleEventKind.CORRECTION,
        revision=revision,
        open=100 * ONE,
        high=100 * ONE,
        low=100 * ONE,
        close=100 * ONE,
        volume=volume * ONE,
        amount=100 * ONE * volume * ONE,
        vwap=100 * ONE,
        taker_buy_volume=None,
        trade_count=volume,
        first_trade_id="1",
        last_trade_id="2",
        is_closed=True,
        complete=True,
        gap=False,
        last_trade_time=open_time,
        received_at=open_time + MINUTE,
        source_topic="md.trades",
        source_partition=3,
        source_offset=minute * 10 + revision,
    )
    return event._replace(**changed)


def kline(minute: int, volume: int = 1, *, instrument: str = INSTRUMENT, **changed: Any) -> Kline:
    """The closed kline of a minute after START that equals `candle` of the same volume."""
    open_time = START + minute * MINUTE
    stated = Kline(
        instrument=instrument,
        interval="1m",
        open_time=open_time,
        open=100 * ONE,
        high=100 * ONE,
        low=100 * ONE,
        close=100 * ONE,
        volume=volume * ONE,
        amount=100 * ONE * volume * ONE,
        trade_count=volume,
        taker_buy_volume=None,
        first_trade_id=None,
        last_trade_id=None,
        is_closed=True,
        exchange_time=None,
        received_at=open_time + MINUTE,
    )
    return stated._replace(**changed)


def history(chance: random.Random, instrument: str = INSTRUMENT) -> tuple[list[CandleEvent], list[Kline]]:
    """What two topics tell of half an hour: some minutes late, corrected, restated, differing or missing on either side."""
    flags = ((True, False),) * 4 + ((False, True), (False, False))

    def make_candle(minute: int, volume: int, revision: int) -> CandleEvent:
        complete, gap = chance.choice(flags)
        return candle(minute, volume, revision=revision, instrument=instrument, complete=complete, gap=gap)

    def make_kline(minute: int, volume: int, _statement: int) -> Kline:
        return kline(minute, chance.choice((volume, volume, volume, 0)), instrument=instrument)

    return _told_in_time(chance, make_candle), _told_in_time(chance, make_kline)


def _told_in_time(chance: random.Random, make: Callable[[int, int, int], Any]) -> list[Any]:
    found: list[tuple[int, Any]] = []
    for minute in range(chance.randint(0, 4), 25):
        fate = chance.choice((*["as the other's"] * 6, "missing", "different", "corrected", "late", "twice"))
        at = minute + (chance.randint(6, 9) if fate == "late" else 0)
        first = make(minute, 2 if fate in ("different", "corrected") else 1, 1)
        if fate != "missing":
            found.append((at, first))
        if fate == "corrected":
            found.append((at + chance.randint(0, 8), make(minute, 1, 2)))
        if fate == "twice":
            found.append((at + chance.randint(0, 3), first))
    return [record for _, record in sorted(found, key=lambda told: told[0])]


Interval = tuple[str | None, int | None]
Differing = dict[str | None, tuple[int | None, int | None]]


def last_words(events: list[QualityEvent]) -> dict[Interval, Differing]:
    """What holds of each interval: the figures of its last verdict that differ, by field; no interval that is well."""
    found: dict[Interval, Differing] = {}
    verdicts: dict[Interval, tuple[str, int, str]] = {}
    for event in events:
        key, figures = (event.interval, event.open_time), (event.observed, event.expected)
        verdict = event.source_topic, event.source_offset, event.detail.rpartition(": ")[2]
        if verdicts.get(key) != verdict:
            verdicts[key], found[key] = verdict, {}
        if event.field is not None or "states no kline" in event.detail:
            found[key][event.field] = figures
    return {key: fields for key, fields in found.items() if fields}
