"""Sina's quotes (hq) of Shanghai, Shenzhen and Beijing: what easyquotation and akshare's `stock_zh_a_spot` fetch.

An answer has one line an instrument, in GBK: `var hq_str_sh600519="…";` with name, open, previous close, last, high, low,
bid, ask, volume, amount, five bids and five asks (size, price), date, time, status. Volume and sizes are shares, of
Shanghai's indexes hands of 100; the amount is yuan. (easyquotation calls the previous close `close`, the shares `turnover`
and the amount `volume`.) Nothing between the quotation marks says that a code is not known, or delisted. Status 00 is
trading, 01 to 07 are suspensions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.feed import Told
from ingest.feeds._cn_lines import Lines
from ingest.feeds._cn_snapshots import Row, micros_of, times
from ingest.feeds._cn_source import ChineseSource
from ingest.feeds._cn_symbols import is_index, symbol_of
from market.feed_status import FeedState
from market.instrument import venue_of

_HEADERS = {"Referer": "https://finance.sina.com.cn"}  # without it the answer is 403
_UP_TO_STATUS = 33  # fields; what follows is not the same for all
_LINES = Lines("Sina", re.compile(rb'var hq_str_(\w{1,16})="([^"]*)";'), _UP_TO_STATUS, ",")
_TRADING = ("00", "")
_SUSPENSIONS = {
    "01": "for an hour",
    "02": "for a day",
    "03": "until further notice",
    "04": "during trading",
    "05": "for half a day",
    "07": "for now",
}


def parse(frame: bytes) -> Row | Told:
    """What the line of an instrument says, volumes in shares; Told where it says nothing. Raises DataValidationError."""
    instrument, fields = _LINES.read(frame)
    if not fields:
        return Told(instrument, FeedState.DOWN, "the source says nothing of it: not known, not listed yet, or delisted")
    volume, status = fields[8], fields[32].strip()
    in_hands = is_index(instrument) and venue_of(instrument) == "sse"
    return Row(
        instrument,
        micros_of(f"{fields[30]} {fields[31]}"),
        last=fields[3],
        previous_close=fields[2],
        high=fields[4],
        low=fields[5],
        bid=fields[6],
        bid_size=fields[10],
        ask=fields[7],
        ask_size=fields[20],
        volume=times(volume, 100, "volume") if in_hands else volume,
        amount=fields[9],
        suspended=None if status in _TRADING else f"suspended {_SUSPENSIONS.get(status, 'or delisted')} (status {status:.8})",
    )


def _path(instruments: Sequence[str]) -> str:
    return "/list=" + ",".join(map(symbol_of, instruments))


VENUE = ChineseSource(
    name="sina",
    venues=("sse", "szse", "bse"),
    channel="hq",
    hosts=("https://hq.sinajs.cn",),
    domain="sinajs.cn",
    read=parse,
    split=_LINES.split,
    named=_LINES.named,
    path=_path,
    headers=_HEADERS,
)

parse_batch = VENUE.parse_batch
