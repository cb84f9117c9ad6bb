"""What a rule of quality found: a record, or a stretch of time, that must not be trusted as it stands.

Figures of any kind share two fields: a price or size (scale 12), an amount (scale 24), a number of trades or a time all fit a
decimal of 50 digits at scale 24, so `of_price` and `of_whole` bring them there without loss.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from market.decimals import AMOUNT_PRECISION, AMOUNT_SCALE, SCALE
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.quality import INT, check_count, check_figure, check_id, check_not_negative, check_time, check_whole

LONGEST_DETAIL = 500
"""Characters of an event's detail."""

_OF_PRICE, _OF_WHOLE = int(10 ** (AMOUNT_SCALE - SCALE)), int(10**AMOUNT_SCALE)


class QualityRule(StrEnum):
    """A rule of quality; each is broken by a record or by the time that passed."""

    STALE = "STALE"
    GAP = "GAP"
    OUTLIER = "OUTLIER"
    CROSSED_BOOK = "CROSSED_BOOK"
    DUPLICATE = "DUPLICATE"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    FUTURE_TIME = "FUTURE_TIME"
    NOT_POSITIVE = "NOT_POSITIVE"
    KLINE_DIFFERENCE = "KLINE_DIFFERENCE"


class Severity(StrEnum):
    """INFO: something is well again, or worth knowing; WARNING: trust it less; ERROR: it cannot be true."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class QualityEvent(NamedTuple):
    """A rule was broken `occurrences` times since its last event (or is kept again: INFO); the rest tells of the last time.

    `field` names the figure at fault, None where the whole record is; `observed` is what it was and `expected` what it should
    be or the limit it passed, both at scale 24 (times and durations in microseconds, as whole numbers). `interval` and
    `open_time` name the candle where it is about one. Times are microseconds; of a record whose own times are not believed,
    they are the broker's. The identity is (rule, field, source topic, partition, offset, detail).
    """

    instrument: str
    rule: QualityRule
    severity: Severity
    field: str | None
    observed: int | None
    expected: int | None
    occurrences: int
    detail: str
    event_time: int
    received_at: int
    interval: str | None
    open_time: int | None
    source_topic: str
    source_partition: int
    source_offset: int


def of_price(value: int) -> int:
    """A price, size or ratio (scale 12) as `observed` and `expected` hold it."""
    return value * _OF_PRICE


def of_whole(value: int) -> int:
    """A count, id, time or duration as `observed` and `expected` hold it."""
    return value * _OF_WHOLE


def check_quality_event(event: QualityEvent) -> QualityEvent:
    """Return an event unchanged whose names, figures and times can be such. Raises DataValidationError."""
    check_instrument(event.instrument)
    for field in ("field", "interval"):
        if (name := getattr(event, field)) is not None:
            check_id(name, field=field)
    for field in ("observed", "expected"):
        if (figure := getattr(event, field)) is not None:
            check_figure(figure, field=field, precision=AMOUNT_PRECISION)
    check_count(event.occurrences, field="occurrences")
    if len(event.detail) > LONGEST_DETAIL:
        raise DataValidationError("too_long", f"detail: has more than {LONGEST_DETAIL} characters", field="detail")
    for field in ("event_time", "received_at", "open_time"):
        if (time := getattr(event, field)) is not None:
            check_time(time, field=field)
    check_source(event.source_topic, event.source_partition, event.source_offset)
    return event


def check_source(topic: str, partition: int, offset: int) -> None:
    """Raise DataValidationError unless these can name a record of a topic."""
    check_id(topic, field="source_topic")
    check_whole(check_not_negative(partition, field="source_partition"), field="source_partition", limit=INT)
    check_whole(check_not_negative(offset, field="source_offset"), field="source_offset")
