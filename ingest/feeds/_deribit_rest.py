"""What Deribit is asked for by REST, and what it answers: trades by their `trade_seq`, and tickers, as its streams tell them.

Read as documented ("public/get_last_trades_by_instrument", "public/ticker"); no answer was recorded.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._deribit_frames import READERS, TICKER, TRADES
from ingest.feeds._numbers import ABSENT
from ingest.feeds._pages import numbered_page
from ingest.feeds._records import Maker
from ingest.marks import Missing
from ingest.rest_venue import Page, Place, Request
from market.errors import DataValidationError
from market.trade import Trade

MARKET = "v2"
REST = "https://www.deribit.com/api/v2/public"

_MOST = 1_000
_BY_NUMBER, _BY_TIME, _TICKER = "get_last_trades_by_instrument", "get_last_trades_by_instrument_and_time", "ticker"
_CHANNELS = {_BY_NUMBER: TRADES, _BY_TIME: TRADES, _TICKER: TICKER}


class _Answer(msgspec.Struct):
    result: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Trades(msgspec.Struct):
    trades: msgspec.Raw


_ANSWER = msgspec.json.Decoder(_Answer)
_TRADES = msgspec.json.Decoder(_Trades)


def latest(symbol: str, channel: str) -> Request | None:
    """The request for the latest of a stream; books are not asked for."""
    kind = _kind(channel)
    if kind == TRADES:
        return _request(_BY_NUMBER, symbol, channel, count=_MOST, sorting="desc")
    return _request(_TICKER, symbol, channel) if kind == TICKER else None


def missed(symbol: str, channel: str, missing: Missing) -> Request:
    """The request for the first of these trades."""
    return _request(_BY_NUMBER, symbol, channel, start_seq=missing.first, end_seq=missing.last, count=_MOST, sorting="asc")


def history(symbol: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page: the first by time, the next ones by number."""
    if _kind(channel) != TRADES:
        return None
    if place.number is None:
        span = {"start_timestamp": place.time // 1000, "end_timestamp": -(-end // 1000)}
        return _request(_BY_TIME, symbol, channel, **span, count=_MOST, sorting="asc")
    return _request(_BY_NUMBER, symbol, channel, start_seq=place.number, count=_MOST, sorting="asc")


def page(place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer."""
    return numbered_page(parsed.records, place.number or 0, end)


def symbol_of(url: str) -> str | None:
    """The instrument that a request names, of those that are read here; None for others."""
    parts = urlsplit(url)
    if parts.path.rpartition("/")[2] not in _CHANNELS:
        return None
    return asked_for(url, "instrument_name")


def read(url: str, answer: bytes, symbol: str, maker: Maker) -> Parsed:
    """What an answer about an instrument tells, oldest first, under the name of the stream."""
    parts = urlsplit(url)
    kind = _CHANNELS[parts.path.rpartition("/")[2]]
    told = decode(_ANSWER, answer)
    if bytes(told.error) or not bytes(told.result):
        raise DataValidationError("venue_error", f"the venue refuses a request: {bytes(told.error)[:200]!r}")
    channel = f"{kind}.{parts.fragment or '100ms'}"
    data = decode(_TRADES, told.result).trades if kind == TRADES else told.result
    records = READERS[kind](data, symbol, channel, maker)
    return Parsed(channel, sorted(records, key=_sequence) if kind == TRADES else records)


def _sequence(record: object) -> int:
    return record.sequence if isinstance(record, Trade) else 0


def _kind(channel: str) -> str:
    return channel.partition(".")[0]


def _request(method: str, symbol: str, channel: str, **options: object) -> Request:
    """The interval of the channel is no part of the request, only of what its answer is called: it goes in the fragment."""
    query = urlencode({"instrument_name": symbol, **options})
    return Request(MARKET, f"{REST}/{method}?{query}#{channel.partition('.')[2]}", 1)
