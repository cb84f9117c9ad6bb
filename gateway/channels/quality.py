"""QUALITY: broken rules as they are found, and a score each minute; who falls behind gets a bounded queue, then a notice."""

from __future__ import annotations

from typing import Any

from gateway.channel import ChannelOptions, Grant
from gateway.latest import LatestStore
from gateway.messages import Arrival, Message, Room, encode, room_of
from gateway.requests import Request
from market.decimals import AMOUNT_SCALE, format_decimal
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from schemas.topics import QUALITY

_Key = tuple[str, ...]


class _Findings:
    """The last event of each rule and field of an instrument, and the last score of each topic."""

    def __init__(self) -> None:
        self.latest: dict[_Key, Arrival] = {}


class Channel:
    """Quality by instrument; `kind` tells events from scores. What repeats the finding before it is not told."""

    data_type = "QUALITY"
    message_type = "quality_data"
    delivery = "all"
    records = (QualityEvent, QualityScore)
    topics = (QUALITY,)
    fields = ("kind", *dict.fromkeys((*QualityEvent._fields, *QualityScore._fields)))

    def __init__(self, options: ChannelOptions) -> None:
        self._findings: LatestStore[str, _Findings] = LatestStore("quality", options.capacity)

    def grant(self, instrument: str, request: Request) -> Grant:
        """Any known instrument may have findings."""
        return Grant(room_of(self.data_type, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Keep the finding; None for one that was told before."""
        record: QualityEvent | QualityScore = arrival.record
        latest = self._findings.entry(record.instrument, _Findings).latest
        key = _key(record)
        if key in latest and _identity(record) == _identity(latest[key].record):
            return None
        latest[key] = arrival
        return room_of(self.data_type, record.instrument)

    def render(self, arrival: Arrival, now: int) -> Message:
        """The finding."""
        return self._message(arrival, now, {})

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The last finding of each rule, and the last scores."""
        findings = self._findings.look_up(grant.room.instrument)
        latest = {} if findings is None else findings.latest
        return [self._message(arrival, now, {"snapshot": True}) for _, arrival in sorted(latest.items())]

    def _message(self, arrival: Arrival, now: int, metadata: dict[str, Any]) -> Message:
        payload = encode(self.message_type, now, describe(arrival.record), metadata | arrival.source.metadata())
        return Message(room_of(self.data_type, arrival.record.instrument), None, arrival.source, payload)


def _key(record: QualityEvent | QualityScore) -> _Key:
    if isinstance(record, QualityScore):
        return "score", record.source_topic
    return "event", record.rule.value, record.source_topic, record.field or ""


def _identity(record: QualityEvent | QualityScore) -> tuple[Any, ...]:
    detail = record.detail if isinstance(record, QualityEvent) else ""
    return record.source_topic, record.source_partition, record.source_offset, detail


def describe(record: QualityEvent | QualityScore) -> dict[str, Any]:
    """A finding as messages carry it."""
    if isinstance(record, QualityScore):
        counts = {str(rule): count for rule, count in record.counts.items()}
        return {"kind": "score", **record._asdict(), "counts": counts, "score": format_decimal(record.score)}
    figures = {name: getattr(record, name) for name in ("observed", "expected")}
    return {
        "kind": "event",
        **record._asdict(),
        "rule": record.rule.value,
        "severity": record.severity.value,
        **{name: None if value is None else format_decimal(value, AMOUNT_SCALE) for name, value in figures.items()},
    }
