"""What is told of the verdicts on candles and klines: events of quality.

Every figure that differs is an event, and so is an interval that only the candle has. A verdict on something revised that finds
neither is one event without a field, for it may take back the verdict before. The events of one verdict stand together, with
one source and one detail; of one interval those of the last verdict hold. Only a verdict on a kline restated beside a candle
revised before shares its source with the one before it.
"""

from __future__ import annotations

from typing import NamedTuple

from market.kline_comparison import Difference
from market.kline_reconciliation import Outcome, Verdict
from market.kline_rules import KlineRule
from market.kline_sides import close_time
from market.quality_event import QualityEvent, QualityRule, Severity, of_price, of_whole


class Place(NamedTuple):
    """Where the records of an instrument are: the topics of candles and klines, and the partition that both have in common."""

    candles: str
    klines: str
    partition: int


def events_of(verdict: Verdict, instrument: str, rule: KlineRule, place: Place) -> list[QualityEvent]:
    """The events of one verdict; none where nothing differs and nothing was told before.

    The source is the record of the kline, or of the candle where that was revised or stands alone.
    """
    if verdict.differences:
        severity = _severity(verdict, rule)
        detail = _detail(verdict, rule)
        return [
            _event(verdict, instrument, place, severity, f"{one.field}: {detail}", difference=one)
            for one in verdict.differences
        ]
    if verdict.outcome is Outcome.MISSING_KLINE:
        return [_event(verdict, instrument, place, Severity.INFO, "the venue states no kline beside our candle")]
    if verdict.is_revised and verdict.outcome in _WELL:
        return [_event(verdict, instrument, place, Severity.INFO, _WELL[verdict.outcome])]
    return []


_WELL = {
    Outcome.EQUAL: "our candle equals the venue's kline",
    Outcome.EMPTY: "the venue's kline is empty and we have no candle",
    Outcome.NOT_COVERED: "our trades do not reach back to the beginning of the venue's kline, so it is not compared",
}
"""What a verdict says that may take back another one."""


def _severity(verdict: Verdict, rule: KlineRule) -> Severity:
    """A difference is to be expected where trades may be missing, and where the venue's rule is not proved."""
    is_explained = verdict.candle is not None and verdict.candle.gap
    return Severity.WARNING if rule.is_proved and not is_explained else Severity.INFO


def _detail(verdict: Verdict, rule: KlineRule) -> str:
    return _what(verdict) if rule.is_proved else f"{_what(verdict)}; how the venue makes klines is not proved"


def _what(verdict: Verdict) -> str:
    candle, kline = verdict.candle, verdict.kline
    stated = (
        "the venue's kline" if kline is None or not kline.restatements else f"the kline restated {kline.restatements} times"
    )
    if candle is not None:
        relation = "lacks trades of a gap and differs" if candle.gap else "differs"
        return f"our candle (revision {candle.revision}) {relation} from {stated}"
    if verdict.outcome is Outcome.MISSING_CANDLE:
        return f"{stated} has trades and we have no candle"
    return f"{stated} is empty and does not repeat the close before"


def _event(
    verdict: Verdict,
    instrument: str,
    place: Place,
    severity: Severity,
    detail: str,
    *,
    difference: Difference | None = None,
) -> QualityEvent:
    topic, offset = _source(verdict, place)
    return QualityEvent(
        instrument=instrument,
        rule=QualityRule.KLINE_DIFFERENCE,
        severity=severity,
        field=None if difference is None else difference.field,
        observed=None if difference is None else _figure(difference.field, difference.observed),
        expected=None if difference is None else _figure(difference.field, difference.expected),
        occurrences=1,
        detail=detail,
        event_time=close_time(verdict.key),
        received_at=max(side.received_at for side in (verdict.candle, verdict.kline) if side is not None),
        interval=verdict.key[0],
        open_time=verdict.key[1],
        source_topic=topic,
        source_partition=place.partition,
        source_offset=offset,
    )


def _source(verdict: Verdict, place: Place) -> tuple[str, int]:
    candle, kline = verdict.candle, verdict.kline
    if kline is not None and (candle is None or not candle.is_revised):
        return place.klines, kline.offset
    if candle is None:
        raise ValueError("a verdict of neither side has no source")
    return place.candles, candle.offset


def _figure(field: str, value: int) -> int:
    if field == "amount":
        return value
    return of_whole(value) if field == "trade_count" else of_price(value)
