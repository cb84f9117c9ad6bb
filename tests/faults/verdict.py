"""Whether what lies in the topics is what the model makes of the trade stream: nothing lost, nothing twice.

Judged is every version of every candle and every price change of the given instruments, not only the last ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from tests.cluster import Stored
from tests.faults import model

MUST_COME = {"NEW", "CLOSE", "CORRECTION"}
"""Kinds of events of which none may be left out; UPDATEs are conflated."""


def expected(stream: Iterable[Stored], instruments: Collection[str]) -> dict[str, model.Instrument]:
    """What the model makes of the records of the trade stream."""
    records = defaultdict[str, list[tuple[int, Any]]](list)
    for stored in stream:
        if stored.record is not None and stored.record.instrument in instruments:
            records[stored.record.instrument].append((stored.offset, stored.record))
    return {instrument: model.expect(records[instrument]) for instrument in instruments}


def check_candles(wanted: dict[str, model.Instrument], stored: Iterable[Stored]) -> None:
    """Raise AssertionError unless the candles told are those of the model."""
    told = defaultdict[tuple[str, int], dict[model.Version, bytes | None]](dict)
    for one in stored:
        event = one.record
        if event.instrument not in wanted:
            continue
        name = event.instrument, event.open_time
        minute = wanted[event.instrument].minutes.get(event.open_time)
        assert minute is not None, f"nothing was traded in {name}, yet it has a candle: {event}"
        assert event.version in minute.versions, f"{name} has no version {event.version}, yet it came: {event}"
        assert _plain(event) == minute.versions[event.version], f"{name} in version {event.version}"
        assert told[name].setdefault(event.version, one.value) == one.value, f"{name}: two contents of {event.version}"
    for instrument, outcome in wanted.items():
        for open_time, minute in outcome.minutes.items():
            name = instrument, open_time
            must = {version for version, candle in minute.versions.items() if candle.kind in MUST_COME} | {minute.latest}
            assert must <= told[name].keys(), f"{name}: never told: {sorted(must - told[name].keys())}"


def check_changes(wanted: dict[str, model.Instrument], stored: Iterable[Stored]) -> None:
    """Raise AssertionError unless the price changes told are those of the model."""
    told = defaultdict[str, dict[int, model.PlainChange]](dict)
    values = dict[tuple[int, int], bytes | None]()
    for one in stored:
        event = one.record
        if event.instrument not in wanted:
            continue
        at = event.source_partition, event.source_offset
        assert values.setdefault(at, one.value) == one.value, f"two price changes at {at}"
        told[event.instrument][event.source_offset] = model.PlainChange(
            event.old_price, event.new_price, event.changes, event.change_percent, event.exchange_time, event.received_at
        )
    for instrument, outcome in wanted.items():
        assert told[instrument] == outcome.changes, instrument


def _plain(event: Any) -> model.PlainCandle:
    return model.PlainCandle(
        event.kind.value,
        event.open,
        event.high,
        event.low,
        event.close,
        event.volume,
        event.amount,
        event.vwap,
        event.taker_buy_volume,
        event.trade_count,
        event.first_trade_id,
        event.last_trade_id,
        event.is_closed,
        event.complete,
        event.gap,
        event.last_trade_time,
        event.received_at,
    )
