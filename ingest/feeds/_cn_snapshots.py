"""Records of the snapshots that Chinese sources tell: quotes, and trades as their differences.

A `Row` has the source's own texts, but volumes in shares and amounts in the currency. A price of zero is one that is not there:
before the first trade of a day, and of what is suspended. Times are those of Shanghai and Hong Kong, eight hours ahead of UTC.

The quote of a day on which the market closes: `open_24h` is the close of the trading day before, which the change is measured
from; `high_24h`, `low_24h`, `volume_24h` and `amount_24h` are those of the trading day.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from ingest.feed import Parsed, Told
from ingest.feeds._cn_symbols import is_index
from ingest.feeds._records import Maker, amount_of
from market.decimals import AMOUNT_SCALE, SCALE, format_decimal, parse_decimal, ratio
from market.errors import DataValidationError
from market.feed_status import FeedState
from market.quote import Quote
from market.snapshot_trades import Snapshot, SnapshotTrades
from market.trade import check_trade
from schemas.records import Record

UTC_OFFSET = 8 * 3_600_000_000
_ZONE = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(\d{4})[-/]?(\d\d)[-/]?(\d\d)[ T]?(\d\d):?(\d\d):?(\d\d)", re.ASCII)
_UNIT_TOLERANCE = 3  # a wrong unit is wrong by the shares of a hand: ten or a hundred


class Row(NamedTuple):
    """What a source says of an instrument at a moment.

    `volume` is in shares (index: as its source counts it) and `amount` in yuan or Hong Kong dollars, both of the trading day.
    `suspended` says so in words, None while it is traded.
    """

    instrument: str
    exchange_time: int | None
    last: str | None
    previous_close: str | None
    high: str | None = None
    low: str | None = None
    bid: str | None = None
    bid_size: str | None = None
    ask: str | None = None
    ask_size: str | None = None
    volume: str | None = None
    amount: str | None = None
    change: str | None = None
    change_percent: str | None = None
    suspended: str | None = None


class SnapshotReader:
    """Makes the records of the rows of one line; it remembers up to which volume the trades of each instrument were told."""

    def __init__(self, channel: str, max_skew: int, *, trades: bool = True) -> None:
        self._channel = channel
        self._max_skew = max_skew
        self._trades = trades
        self._series: dict[str, SnapshotTrades] = {}
        self._faulty: dict[str, str] = {}

    def read(self, row: Row, received_at: int) -> Parsed:
        """Raises DataValidationError when the row is not what it claims to be."""
        quote = quote_of(self._channel, row, received_at, self._max_skew)
        told = [Told(row.instrument, FeedState.STALE, row.suspended)] if row.suspended else []
        records: list[Record] = [quote]
        faults: list[DataValidationError] = []
        try:
            check_unit(quote)
            records += self._traded(quote)
        except DataValidationError as error:
            records[0] = quote._replace(volume_24h=None, amount_24h=None) if error.reason == "wrong_unit" else quote
            if self._faulty.get(row.instrument) != str(error):  # told once, not with every snapshot
                self._faulty[row.instrument] = str(error)
                faults.append(error)
        else:
            self._faulty.pop(row.instrument, None)
        if quote.last is None and row.suspended:
            records = []  # there is no price to tell
        return Parsed(self._channel, records, told, faults)

    def _traded(self, quote: Quote) -> list[Record]:
        if not self._trades or is_index(quote.instrument) or quote.volume_24h is None or quote.exchange_time is None:
            return []
        series = self._series.get(quote.instrument)
        if series is None:
            series = self._series[quote.instrument] = SnapshotTrades(quote.instrument, UTC_OFFSET)
        snapshot = Snapshot(quote.last or 0, quote.volume_24h, quote.amount_24h, quote.exchange_time, quote.received_at)
        trade = series.apply(snapshot).trade
        return [] if trade is None else [check_trade(trade, max_skew=self._max_skew)]


def quote_of(channel: str, row: Row, received_at: int, max_skew: int) -> Quote:
    """The quote of a row. Raises DataValidationError naming the field at fault.

    Where the source gives no change, or no per cent, they are those of the last price from the close before (half-even).
    """
    last = parse_decimal(row.last, field="last") if row.last else 0
    before = parse_decimal(row.previous_close, field="previous_close") if row.previous_close else 0
    change = row.change or (format_decimal(last - before) if before else None)
    percent = row.change_percent or (format_decimal(ratio(100 * (last - before), before)) if before else None)
    return Maker(row.instrument, received_at, max_skew).quote(
        channel,
        row.exchange_time,
        bid=row.bid,
        bid_size=row.bid_size,
        ask=row.ask,
        ask_size=row.ask_size,
        last=row.last,
        open_24h=row.previous_close,
        high_24h=row.high,
        low_24h=row.low,
        volume_24h=row.volume,
        amount_24h=row.amount,
        change_24h=change if last else None,
        change_percent_24h=percent if last else None,
    )


def check_unit(quote: Quote) -> None:
    """Raise DataValidationError (`wrong_unit`) where amount and volume give no price of the day: hands taken for shares.

    Sources change their units without a word, and have other ones for some boards.
    """
    if not quote.volume_24h or not quote.amount_24h or not quote.high_24h or not quote.low_24h or is_index(quote.instrument):
        return
    price = quote.amount_24h * 10**SCALE // (quote.volume_24h * 10 ** (AMOUNT_SCALE - SCALE))
    if not quote.low_24h // _UNIT_TOLERANCE <= price <= quote.high_24h * _UNIT_TOLERANCE:
        shares, amount = format_decimal(quote.volume_24h), format_decimal(quote.amount_24h, AMOUNT_SCALE)
        text = f"volume: {shares} shares do not fit the amount {amount} and the prices of the day"
        raise DataValidationError("wrong_unit", text, field="volume")


def micros_of(text: str, field: str = "exchange_time") -> int:
    """Microseconds of a time of Shanghai: 20260806104333, 2018/03/29 16:08:11, 2019-03-12 15:00:03."""
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        time = datetime(*map(int, found.groups()), tzinfo=_ZONE)  # type: ignore[arg-type, misc]  # six numbers
    except ValueError:
        raise DataValidationError("bad_time", f"{field}: {text!r:.40} is no date and time", field=field) from None
    return (time - _EPOCH) // timedelta(microseconds=1)


def times(text: str, number: int, field: str) -> str:
    """A figure so many times, exactly: shares of hands of 100, yuan of ten thousands."""
    return format_decimal(parse_decimal(text, field=field) * number)


def as_amount(text: str, number: int = 1) -> str:
    """An amount so many times, exactly."""
    return format_decimal(amount_of(text, "amount") * number, AMOUNT_SCALE)


def text_of(frame: bytes) -> str:
    """The text of a frame in GBK, in which the sources write. Raises DataValidationError (`wrong_encoding`)."""
    try:
        return frame.decode("gb18030")
    except UnicodeDecodeError as error:
        raise DataValidationError("wrong_encoding", f"the frame is no text in GBK: {error}") from None
