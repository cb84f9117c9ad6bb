"""Tencent's quotes (qt) of Shanghai, Shenzhen, Beijing and Hong Kong: what easyquotation fetches, and akshare in part.

An answer has one line an instrument, in GBK, its fields separated by `~`: 2 code, 3 last, 4 previous close, 5 open, 6 volume,
9 to 18 bids (price, size), 19 to 28 asks, 30 time, 31 change, 32 change in per cent, 33 high, 34 low, 35 last/volume/amount,
37 amount.

- In China volumes and sizes are hands of 100 shares, and field 37 is ten thousands of yuan; field 35 has the yuan themselves.
- In Hong Kong (`r_hk00700`) volumes are shares and the amount is dollars; what stands for bid and ask is the last price again,
  without a size, and is left out.

Codes that are not known are left out of the answer; when all are, it is `v_pv_none_match="1";`. Field 40 is empty for what is
traded; otherwise a letter, of which S and D are known to be suspended and delisted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.feed import Told
from ingest.feeds._cn_lines import Lines
from ingest.feeds._cn_snapshots import Row, as_amount, micros_of, times
from ingest.feeds._cn_source import ChineseSource
from ingest.feeds._cn_symbols import symbol_of
from market.errors import DataValidationError
from market.feed_status import FeedState
from market.instrument import code_of, venue_of

_LINES = Lines("Tencent", re.compile(rb'v_(?:r_)?(\w{1,16})="([^"]*)";?'), 41, "~")
_NOBODY = re.compile(rb'\s*v_pv_none_match="1";?\s*')
_HAND, _TEN_THOUSAND = 100, 10_000
_SUSPENDED = {"S": "suspended", "D": "delisted"}


def parse(frame: bytes) -> Row | Told:
    """What the line of an instrument says, volumes in shares and amounts in the currency. Raises DataValidationError."""
    instrument, fields = _LINES.read(frame)
    if not fields:
        return Told(instrument, FeedState.DOWN, "the source says nothing of it")
    if fields[2] != code_of(instrument):
        raise DataValidationError("inconsistent", f"the line of {instrument} is of {fields[2]:.20}", field="code")
    is_of_hong_kong = venue_of(instrument) == "hkex"
    hand = 1 if is_of_hong_kong else _HAND
    return Row(
        instrument,
        micros_of(fields[30]),
        last=fields[3],
        previous_close=fields[4],
        high=fields[33],
        low=fields[34],
        bid=fields[9] if not is_of_hong_kong else None,
        bid_size=times(fields[10], hand, "bid_size") if not is_of_hong_kong else None,
        ask=fields[19] if not is_of_hong_kong else None,
        ask_size=times(fields[20], hand, "ask_size") if not is_of_hong_kong else None,
        volume=times(fields[6], hand, "volume"),
        amount=fields[37] if is_of_hong_kong else _amount(fields),
        change=fields[31],
        change_percent=fields[32],
        suspended=suspended(fields[40]),
    )


def _amount(fields: Sequence[str]) -> str:
    """In yuan: field 35 has all of it, field 37 is rounded."""
    parts = fields[35].split("/")
    return parts[2] if len(parts) == 3 else as_amount(fields[37], _TEN_THOUSAND)


def suspended(letter: str) -> str | None:
    """What the letter of field 40 says, None of what is traded."""
    return f"{_SUSPENDED.get(letter, 'not traded')} (status {letter:.8})" if letter else None


def _split(answer: bytes) -> Sequence[bytes]:
    return [] if _NOBODY.fullmatch(answer) else _LINES.split(answer)


def _path(instruments: Sequence[str]) -> str:
    symbols = (f"r_{symbol_of(one)}" if venue_of(one) == "hkex" else symbol_of(one) for one in instruments)
    return "/q=" + ",".join(symbols)


VENUE = ChineseSource(
    name="tencent",
    venues=("sse", "szse", "bse", "hkex"),
    channel="qt",
    hosts=("https://qt.gtimg.cn", "https://sqt.gtimg.cn"),
    domain="gtimg.cn",
    read=parse,
    split=_split,
    named=_LINES.named,
    path=_path,
    headers={"Referer": "https://gu.qq.com"},
)

parse_batch = VENUE.parse_batch
