"""akshare (1.19): what `stock_zh_a_spot_em()`, `stock_zh_a_spot()` and `stock_bid_ask_em()` return.

| | codes | volume | time |
|---|---|---|---|
| `stock_zh_a_spot_em` (Eastmoney) | 600519: a share of Shanghai, Shenzhen or Beijing, never an index | hands of 100 | none |
| `stock_zh_a_spot` (Sina) | sh600519 | shares | of the day, without its date: not taken |
| `stock_bid_ask_em` (Eastmoney) | none | `总手` hands of 100, `buy_1_vol` and `sell_1_vol` shares | none |

So the codes tell the two lists apart. Amounts are yuan, `昨收` is the close of the day before. What is suspended has NaN,
zero or dashes for its last price.

`stock_bid_ask_em` asks Shanghai for codes that begin with 6, and Shenzhen for others, where 000001 is thus the share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ingest.feed import Parsed
from ingest.feeds._cn_snapshots import Row, times
from ingest.feeds._cn_symbols import instrument_of, instrument_of_number
from ingest.libraries._rows import Given, figure, label, no_price, parsed, quote_or_refusal, records_of, text, value
from market.errors import DataValidationError
from market.quality import MAX_CLOCK_SKEW
from market.quote import Quote

_NAME = "akshare"
_HAND = 100
_SHARES = re.compile(r"(?:60|68|00|30|4\d|8\d|92)\d{4}", re.ASCII)
_NOT_ASKED = re.compile(r"[57]|9(?!2)", re.ASCII)  # Shanghai's, of which Shenzhen is asked in vain


def parse(row: Given, received_at: int, *, max_skew: int = MAX_CLOCK_SKEW) -> Quote:
    """The quote of a row of either list that was received at a time (microseconds). Raises DataValidationError."""
    return quote_or_refusal(_NAME, read_row(row), received_at, max_skew)


def parse_batch(table: Any, received_at: int, *, asked: Iterable[str] = (), max_skew: int = MAX_CLOCK_SKEW) -> Parsed:
    """The quotes of a list, as a DataFrame or its records; `asked` are instruments of which something should be there.

    Raises DataValidationError where it is no table (`no_answer`).
    """
    return parsed(_NAME, records_of(table), lambda row: label(row, "代码"), read_row, received_at, max_skew, asked)


def parse_bid_ask(table: Any, code: str, received_at: int, *, max_skew: int = MAX_CLOCK_SKEW) -> Quote:
    """The quote that `stock_bid_ask_em(code)` told: a DataFrame, or its records of `item` and `value`.

    Raises DataValidationError.
    """
    row = {str(value(one, "item")): value(one, "value") for one in records_of(table)}
    return quote_or_refusal(_NAME, _of_bid_ask(row, code), received_at, max_skew)


def read_row(row: Given) -> Row:
    """What a row of either list says, volumes in shares. Raises DataValidationError."""
    code = text(row, "代码")
    of_sina = not code.isdecimal()
    last, volume = figure(row, "最新价"), figure(row, "成交量")
    bid, ask = (figure(row, "买入"), figure(row, "卖出")) if of_sina else (None, None)
    return Row(
        instrument_of(code) if of_sina else _share(code),
        None,
        last=last,
        previous_close=figure(row, "昨收"),
        high=figure(row, "最高"),
        low=figure(row, "最低"),
        bid=bid,
        ask=ask,
        volume=times(volume, 1 if of_sina else _HAND, "成交量") if volume else None,
        amount=figure(row, "成交额"),
        change=figure(row, "涨跌额"),
        change_percent=figure(row, "涨跌幅"),
        suspended=no_price(最新价=last, 买入=bid, 卖出=ask),
    )


def _of_bid_ask(row: Mapping[str, Any], code: str) -> Row:
    if _NOT_ASKED.match(code):
        raise DataValidationError("unknown_symbol", f"{code:.20}: Shenzhen is asked, which has no such code", field="code")
    last, bid, ask, hands = (figure(row, name) for name in ("最新", "buy_1", "sell_1", "总手"))
    return Row(
        instrument_of_number(code, _market(code), field="code"),
        None,
        last=last,
        previous_close=figure(row, "昨收"),
        high=figure(row, "最高"),
        low=figure(row, "最低"),
        bid=bid,
        bid_size=figure(row, "buy_1_vol"),
        ask=ask,
        ask_size=figure(row, "sell_1_vol"),
        volume=times(hands, _HAND, "总手") if hands else None,
        amount=figure(row, "金额"),
        change=figure(row, "涨跌"),
        change_percent=figure(row, "涨幅"),
        suspended=no_price(最新=last, buy_1=bid, sell_1=ask),
    )


def _share(code: str) -> str:
    if not _SHARES.fullmatch(code):
        raise DataValidationError("ambiguous_symbol", f"代码: {code:.20} is no share's, and has no market", field="代码")
    return instrument_of_number(code, _market(code), field="代码")


def _market(code: str) -> str:
    return "1" if code.startswith("6") else "0"
