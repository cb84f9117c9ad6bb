"""Records that were refused, as far as their refusal is a matter of quality.

Whatever is refused becomes a dead letter. Where it can be told of which instrument it is, a price or size of zero or below and
a time ahead of the clocks are findings, too. None of its times is trusted.
"""

from __future__ import annotations

from typing import NamedTuple

from market.decimals import AMOUNT_PRECISION, fits
from market.quality import EARLIEST
from market.quality_event import LONGEST_DETAIL, QualityRule, Severity, of_price, of_whole
from market.quote import Quote
from market.rules.finding import Finding
from market.trade import GapMark, TimeMark, Trade

Judged = Trade | TimeMark | GapMark | Quote
"""The records that quality is judged of."""

_RULES = {"not_positive": QualityRule.NOT_POSITIVE, "future_time": QualityRule.FUTURE_TIME}
_WHOLE = ("trade_count",)


class Refused(NamedTuple):
    """A refused record: the reason and field as in `DataValidationError`, `error` in words, the broker's time of appending it.

    `max_skew` is how far, in microseconds, clocks were granted to differ.
    """

    record: Judged
    reason: str
    field: str | None
    error: str
    appended_at: int
    max_skew: int


def is_of_quality(reason: str) -> bool:
    """Whether a refusal for this reason breaks a rule of quality."""
    return reason in _RULES


def refused(refusal: Refused) -> Finding:
    """NOT_POSITIVE or FUTURE_TIME, an ERROR. Raises KeyError unless `is_of_quality`."""
    rule, field = _RULES[refusal.reason], refusal.field
    value = getattr(refusal.record, field or "", None)
    whole = rule is QualityRule.FUTURE_TIME or field in _WHOLE
    expected = of_whole(_latest_believed(refusal)) if rule is QualityRule.FUTURE_TIME else None
    observed = None if value is None else of_whole(value) if whole else of_price(value)
    if observed is not None and not fits(observed, AMOUNT_PRECISION):
        observed = None
    return Finding(rule, Severity.ERROR, field, observed, expected, f"refused: {refusal.error}"[:LONGEST_DETAIL])


def believed_times(refusal: Refused) -> tuple[int, int]:
    """Event time and receive time of a refused record; the time of appending, or of receipt, in place of what cannot be."""
    received, appended = received_of(refusal.record), refusal.appended_at
    received = received if EARLIEST <= received <= appended + refusal.max_skew else appended
    event = event_time_of(refusal.record)
    return event if EARLIEST <= event <= received + refusal.max_skew else received, received


def event_time_of(record: Judged) -> int:
    """When it happened, by the venue or else by receipt; a gap counts from its end."""
    match record:
        case TimeMark():
            return record.time
        case GapMark():
            return record.end
        case Trade():
            return record.event_time
        case Quote():
            return record.received_at if record.exchange_time is None else record.exchange_time


def received_of(record: Judged) -> int:
    """When it was received; a mark's own time, which is the receiver's."""
    return event_time_of(record) if isinstance(record, TimeMark | GapMark) else record.received_at


def _latest_believed(refusal: Refused) -> int:
    if refusal.field == "exchange_time":
        return received_of(refusal.record) + refusal.max_skew
    return refusal.appended_at + refusal.max_skew
