"""efinance (0.5): what `stock.get_realtime_quotes()` and `stock.get_latest_quote()` return: Eastmoney's quotes.

A row's market is in `行情ID` (1.600519): 1 Shanghai, 0 Shenzhen and Beijing, 116 and 128 Hong Kong; other markets (sectors,
futures, New York) are refused. `成交量` is in hands of 100 shares, in Hong Kong in shares; `成交额` is yuan or dollars;
`昨日收盘` is the close of the day before. "-" stands for what is not there: a row without `最新价` is suspended. Of
convertible bonds a hand is ten bonds: their volumes do not fit their amounts, and are left out with the fault `wrong_unit`.
There is no bid and no ask.

`更新时间` is a text in the time zone of the machine that called the library, which is not Shanghai's unless it stands there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any

from ingest.feed import Parsed
from ingest.feeds._cn_snapshots import Row, times
from ingest.feeds._cn_symbols import instrument_of_number
from ingest.libraries._rows import Given, figure, label, no_price, parsed, quote_or_refusal, records_of, text
from market.errors import DataValidationError
from market.instrument import venue_of
from market.quality import MAX_CLOCK_SKEW
from market.quote import Quote

_NAME = "efinance"
_CODES = ("股票代码", "代码")  # of get_realtime_quotes, of get_latest_quote
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse(row: Given, received_at: int, *, zone: tzinfo | None = None, max_skew: int = MAX_CLOCK_SKEW) -> Quote:
    """The quote of a row that was received at a time (microseconds). Raises DataValidationError.

    `zone` is the time zone of the machine that called the library; None is that of this one.
    """
    return quote_or_refusal(_NAME, read_row(row, zone=zone), received_at, max_skew)


def parse_batch(
    table: Any,
    received_at: int,
    *,
    zone: tzinfo | None = None,
    asked: Iterable[str] = (),
    max_skew: int = MAX_CLOCK_SKEW,
) -> Parsed:
    """The quotes of a DataFrame or of its records; `asked` are instruments (sse:600519) of which something should be there.

    `zone` as in `parse`. Raises DataValidationError where it is no table (`no_answer`).
    """
    rows = records_of(table)
    return parsed(_NAME, rows, lambda row: label(row, *_CODES), partial(read_row, zone=zone), received_at, max_skew, asked)


def read_row(row: Given, *, zone: tzinfo | None) -> Row:
    """What a row says, volumes in shares; `zone` as in `parse`. Raises DataValidationError."""
    market, _, code = text(row, "行情ID").partition(".")
    instrument = instrument_of_number(code, market, field="行情ID")
    given = text(row, next((name for name in _CODES if name in row), _CODES[0]))
    if given != code:
        raise DataValidationError("inconsistent", f"行情ID: the row of {code} is of {given:.20}", field="行情ID")
    last, volume = figure(row, "最新价"), figure(row, "成交量")
    return Row(
        instrument,
        _time(text(row, "更新时间"), zone) if "更新时间" in row else None,
        last=last,
        previous_close=figure(row, "昨日收盘"),
        high=figure(row, "最高"),
        low=figure(row, "最低"),
        volume=times(volume, 1 if venue_of(instrument) == "hkex" else 100, "成交量") if volume else None,
        amount=figure(row, "成交额"),
        change=figure(row, "涨跌额"),
        change_percent=figure(row, "涨跌幅"),
        suspended=no_price(最新价=last),
    )


def _time(given: str, zone: tzinfo | None) -> int:
    try:
        time = datetime.fromisoformat(given)
        return (time.replace(tzinfo=zone).astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise DataValidationError("bad_time", f"更新时间: {given!r:.40} is no date and time", field="更新时间") from None
