"""The latest prices of an instrument, each with its source, and which records of them make sense.

How they are chosen among all that a venue says is in `market.latest_price`.
"""

from __future__ import annotations

from typing import NamedTuple

from market.decimals import AMOUNT_PRECISION, divide_half_even
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.quality import check_figure, check_id, check_not_negative, check_positive, check_time, check_whole

POINTS = ("bid", "ask", "last", "mark_price", "index_price", "close", "previous_close")
"""The fields of a record that are prices with their source."""

_POSITIVE_24H = ("open_24h", "high_24h", "low_24h")
_SIGNED_24H = ("change_24h", "change_percent_24h")
FIGURES_24H = (*_POSITIVE_24H, "volume_24h", "amount_24h", *_SIGNED_24H)
"""The fields of a record that tell of the last 24 hours; `source_24h` is the source of them all."""


class PriceSource(NamedTuple):
    """The message that said something: its channel, its times, and where it lies.

    `channel` is the venue's name for it (bookTicker, ticker), `trades` for a trade. Times are microseconds.
    """

    channel: str
    exchange_time: int | None
    received_at: int
    topic: str
    partition: int
    offset: int

    @property
    def event_time(self) -> int:
        """Exchange time, or the receive time where the venue gives none."""
        return self.received_at if self.exchange_time is None else self.exchange_time

    @property
    def known_at(self) -> int:
        """The event time, or the receive time where that is earlier: a venue's clock may run ahead of ours."""
        return self.received_at if self.exchange_time is None else min(self.exchange_time, self.received_at)


class PricePoint(NamedTuple):
    """A price with the size offered or traded at it (None where not given), both unscaled at scale 12, and its source."""

    price: int
    size: int | None
    source: PriceSource


class PriceRecord(NamedTuple):
    """What is known of an instrument's prices; what no source gives is None, never zero.

    `bid` and `ask` come of one message: a side that is None beside one that is not was empty. `mark_price` and `index_price`
    have no size. `close` (the venue's closing price) and `previous_close` are None as long as no feed tells them. The figures
    of the last 24 hours come of one message, too, in the units of `market.quote.Quote`. `received_at` is the latest receive
    time taken in.

    `quotes_offset` and `trades_offset` are the offsets of the last records of the two topics that changed what is known (None:
    none did). They are the record's version: two records of one version are equal.
    """

    instrument: str
    bid: PricePoint | None
    ask: PricePoint | None
    last: PricePoint | None
    mark_price: PricePoint | None
    index_price: PricePoint | None
    close: PricePoint | None
    previous_close: PricePoint | None
    open_24h: int | None
    high_24h: int | None
    low_24h: int | None
    volume_24h: int | None
    amount_24h: int | None
    change_24h: int | None
    change_percent_24h: int | None
    source_24h: PriceSource | None
    received_at: int
    quotes_offset: int | None
    trades_offset: int | None

    @property
    def mid(self) -> int | None:
        """The mean of bid and ask at scale 12, half-even; None where a side is empty. Derived, so it is not on the wire."""
        return None if self.bid is None or self.ask is None else divide_half_even(self.bid.price + self.ask.price, 2)

    def is_newer_than(self, other: PriceRecord) -> bool:
        """Whether it takes in more than `other` of either topic: a reader lets go of a record that does not.

        Of two workers' records (one was cut off, or one reads again after a crash) each may take in more of another topic. Then
        either may be kept for a moment, since a record soon follows that takes in all that both do.
        """
        return _after(self.quotes_offset, other.quotes_offset) or _after(self.trades_offset, other.trades_offset)


def _after(offset: int | None, other: int | None) -> bool:
    return offset is not None and (other is None or offset > other)


def check_price(record: PriceRecord) -> PriceRecord:
    """Return a record unchanged whose prices can be prices and have a source. Raises DataValidationError."""
    check_instrument(record.instrument)
    for name in POINTS:
        _check_point(getattr(record, name), name)
    if record.bid is not None and record.ask is not None and record.bid.source != record.ask.source:
        raise DataValidationError("inconsistent", "ask.source: not the one of the bid", field="ask.source")
    _check_figures(record)
    check_time(record.received_at, field="received_at")
    for name in ("quotes_offset", "trades_offset"):
        _check_offset(getattr(record, name), name)
    return record


def _check_point(point: PricePoint | None, name: str) -> None:
    if point is None:
        return
    check_positive(point.price, field=f"{name}.price")
    if point.size is not None:
        check_positive(point.size, field=f"{name}.size")
    _check_source(point.source, f"{name}.source")


def _check_figures(record: PriceRecord) -> None:
    for name, value in ((name, getattr(record, name)) for name in FIGURES_24H):
        if value is None:
            continue
        if record.source_24h is None:
            raise DataValidationError("inconsistent", f"source_24h: there is none of {name}", field="source_24h")
        if name in _POSITIVE_24H:
            check_positive(value, field=name)
        elif name in _SIGNED_24H:
            check_figure(value, field=name)
        elif name == "amount_24h":
            check_not_negative(value, field=name, precision=AMOUNT_PRECISION)
        else:
            check_not_negative(value, field=name)
    if record.source_24h is not None:
        _check_source(record.source_24h, "source_24h")


def _check_source(source: PriceSource, name: str) -> None:
    check_id(source.channel, field=f"{name}.channel")
    check_id(source.topic, field=f"{name}.topic")
    check_time(source.received_at, field=f"{name}.received_at")
    if source.exchange_time is not None:
        check_time(source.exchange_time, field=f"{name}.exchange_time")
    _check_offset(source.offset, f"{name}.offset")


def _check_offset(offset: int | None, name: str) -> None:
    if offset is None:
        return
    if offset < 0:
        raise DataValidationError("negative", f"{name}: an offset is not below zero", field=name)
    check_whole(offset, field=name)
