"""easyquotation (0.7): what `stocks()`, `real()`, `market_snapshot()` and `all_market` of its Sina and Tencent return.

The answer is a dict of rows by code; codes that the source does not know are left out. With `prefix=True` a code has its market
(sh600519), without it the market is lost: those codes are taken that one market alone has, and others refused, as 000001, which
was asked for as Shenzhen's share or as `sh000001`, Shanghai's index. Call it with `prefix=True`.

| field | of Sina | of Tencent |
|---|---|---|
| `close` | close of the day before | the same |
| `turnover` | volume in shares, of Shanghai's indexes in hands of 100 | turnover in per cent of the shares (not taken) |
| `volume` | amount in yuan | volume in shares |
| `成交量(手)` | | volume in shares, although it says hands |
| `成交额(万)` | | amount in yuan, although it says ten thousands, and rounded to these |
| `价格/成交量(手)/成交额` | | text: last, volume in hands, amount in yuan, whole |
| `bid1_volume`, `ask1_volume` | shares | shares |
| `buy`, `sell` | best bid and ask | |
| `date` and `time`, `datetime` | texts, Shanghai | a datetime without zone, Shanghai |
| `unknown` | | empty, or a letter of what is suspended (S) or delisted (D) |

Sina's status of a suspended share is not passed on; a row without any price is taken for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ingest.feed import Parsed
from ingest.feeds._cn_snapshots import Row, micros_of, times
from ingest.feeds._cn_symbols import instrument_of, instrument_of_code, is_index
from ingest.feeds.tencent import suspended
from ingest.libraries._rows import Given, figure, no_price, parsed, quote_or_refusal, text, value
from market.errors import DataValidationError
from market.instrument import venue_of
from market.quality import MAX_CLOCK_SKEW
from market.quote import Quote

_NAME = "easyquotation"


def parse(code: str, row: Given, received_at: int, *, max_skew: int = MAX_CLOCK_SKEW) -> Quote:
    """The quote of a row, which does not hold its own code, received at a time (microseconds). Raises DataValidationError."""
    return quote_or_refusal(_NAME, _read((code, row)), received_at, max_skew)


def parse_batch(
    rows: Mapping[str, Given], received_at: int, *, asked: Iterable[str] = (), max_skew: int = MAX_CLOCK_SKEW
) -> Parsed:
    """The quotes of an answer; `asked` are instruments (sse:600519) of which something should be there.

    Raises DataValidationError where it is no answer of the library's (`no_answer`).
    """
    if not isinstance(rows, Mapping):
        raise DataValidationError("no_answer", f"a {type(rows).__name__} is no dict of quotes by code")
    return parsed(_NAME, rows.items(), lambda one: one[0], _read, received_at, max_skew, asked)


def _read(one: tuple[str, Given]) -> Row:
    code, row = one
    instrument = _instrument(code)
    if not isinstance(row, Mapping):
        raise DataValidationError("wrong_type", f"a {type(row).__name__} is no row of fields")
    if "datetime" in row:
        return _of_tencent(instrument, code, row)
    if "date" in row:
        return _of_sina(instrument, row)
    raise DataValidationError("missing_field", "datetime: it is no row of Sina's nor of Tencent's", field="datetime")


def _instrument(code: Any) -> str:
    if not isinstance(code, str):
        raise DataValidationError("wrong_type", f"code: {code!r:.40} is no text", field="code")
    if code.isdecimal():
        return instrument_of_code(code, field="code")
    instrument = instrument_of(code)
    if venue_of(instrument) == "hkex":
        raise DataValidationError("unknown_symbol", f"{code!r:.40}: its units of Hong Kong are not known", field="code")
    return instrument


def _of_sina(instrument: str, row: Given) -> Row:
    last, bid, ask, volume = (figure(row, name) for name in ("now", "buy", "sell", "turnover"))
    in_hands = is_index(instrument) and venue_of(instrument) == "sse"
    return Row(
        instrument,
        micros_of(f"{text(row, 'date')} {text(row, 'time')}"),
        last=last,
        previous_close=figure(row, "close"),
        high=figure(row, "high"),
        low=figure(row, "low"),
        bid=bid,
        bid_size=figure(row, "bid1_volume"),
        ask=ask,
        ask_size=figure(row, "ask1_volume"),
        volume=times(volume, 100, "turnover") if volume and in_hands else volume,
        amount=figure(row, "volume"),
        suspended=no_price(now=last, buy=bid, sell=ask),
    )


def _of_tencent(instrument: str, code: str, row: Given) -> Row:
    if text(row, "code") != code:
        raise DataValidationError("inconsistent", f"the row of {code:.20} is of {row['code']:.20}", field="code")
    last, bid, ask = (figure(row, name) for name in ("now", "bid1", "ask1"))
    return Row(
        instrument,
        _time(value(row, "datetime")),
        last=last,
        previous_close=figure(row, "close"),
        high=figure(row, "high"),
        low=figure(row, "low"),
        bid=bid,
        bid_size=figure(row, "bid1_volume"),
        ask=ask,
        ask_size=figure(row, "ask1_volume"),
        volume=figure(row, "volume"),
        amount=_amount(row),
        change=figure(row, "涨跌"),
        change_percent=figure(row, "涨跌(%)"),
        suspended=suspended(text(row, "unknown")) or no_price(now=last, bid1=bid, ask1=ask),
    )


def _amount(row: Given) -> str | None:
    parts = text(row, "价格/成交量(手)/成交额").split("/")
    return parts[2] if len(parts) == 3 else figure(row, "成交额(万)")


def _time(time: Any) -> int:
    if isinstance(time, datetime) and time.tzinfo is not None:
        raise DataValidationError("bad_time", "datetime: the library's has no time zone", field="datetime")
    return micros_of(f"{time:%Y%m%d%H%M%S}" if isinstance(time, datetime) else str(time), "datetime")
