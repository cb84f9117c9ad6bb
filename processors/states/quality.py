"""What is remembered of an instrument's quality in a topic."""

from __future__ import annotations

from typing import Any

from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_minute import QualityMinute
from market.quality_monitor import QualityState
from market.quality_telling import Told
from market.rules.silence import Silence
from market.rules.times import Place
from processors.states.form import (
    MAYBE_AMOUNT,
    MAYBE_LONG,
    MAYBE_TEXT,
    PRICE,
    array,
    define,
    encode,
    head,
    mapping,
    read,
    record,
)
from processors.states.seen import SEEN, seen_fields, seen_from

_HELD = record(
    "Held",
    instrument="string",
    rule="string",
    severity="string",
    field=MAYBE_TEXT,
    observed=MAYBE_AMOUNT,
    expected=MAYBE_AMOUNT,
    occurrences="int",
    detail="string",
    event_time="long",
    received_at="long",
    interval=MAYBE_TEXT,
    open_time=MAYBE_LONG,
    source_topic="string",
    source_partition="int",
    source_offset="long",
)

QUALITY_STATE = define(
    "QualityState",
    latest="long",
    clock="long",
    last=mapping(record("Place", event_time="long", sequence="long")),
    **SEEN,
    prices=array(PRICE),
    heard_at="long",
    is_stale="boolean",
    gap_until="long",
    open_time=MAYBE_LONG,
    records="long",
    counts=mapping("int"),
    faulty="long",
    told=mapping(record("Told", at="long", held=["null", _HELD])),
)


def encode_quality(state: QualityState) -> bytes:
    """Bytes of what is remembered of an instrument's quality in a topic."""
    silence, minute = state.silence, state.minute
    body = encode(
        QUALITY_STATE,
        {
            "latest": state.latest,
            "clock": state.clock,
            "last": {channel: place._asdict() for channel, place in state.last.items()},
            **seen_fields(state.seen),
            "prices": state.prices,
            "heard_at": silence.heard_at,
            "is_stale": silence.is_stale,
            "gap_until": state.gap_until,
            "open_time": minute.open_time,
            "records": minute.records,
            "counts": minute.counts,
            "faulty": minute.faulty,
            "told": {rule: {"at": one.at, "held": one.held and one.held._asdict()} for rule, one in state.told.items()},
        },
    )
    return head(state.applied_offset) + body


def decode_quality(data: bytes | None) -> QualityState:
    """What is remembered of an instrument's quality in a topic; the empty state of none."""
    if data is None:
        return QualityState()
    offset, values = read(QUALITY_STATE, data)
    return QualityState(
        offset,
        values["latest"],
        values["clock"],
        {channel: Place(**place) for channel, place in values["last"].items()},
        seen_from(values),
        values["prices"],
        Silence(values["heard_at"], values["is_stale"]),
        values["gap_until"],
        QualityMinute(values["open_time"], values["records"], values["counts"], values["faulty"]),
        {rule: Told(told["at"], _held_from(told["held"])) for rule, told in values["told"].items()},
    )


def _held_from(values: dict[str, Any] | None) -> QualityEvent | None:
    if values is None:
        return None
    return QualityEvent(**{**values, "rule": QualityRule(values["rule"]), "severity": Severity(values["severity"])})
