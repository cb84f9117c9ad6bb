"""What Kraken Futures is asked for by REST, and what it answers: the hundred trades before a time, newest first, of seven days.

Read as documented ("Get trade history"); no answer was recorded. A trade has the `uid` that it has in the stream. Its
`trade_id` is documented as a count from the first fill of a contract on, and examples have it end with the number of trades in
the answer; neither is the `seq` of recorded frames. So what the stream's numbers show to be missing is told again by time.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._iso_times import iso_of_millis, micros_of_iso
from ingest.feeds._numbers import ABSENT, number
from ingest.feeds._pages import backward_page, not_told, stretch_until
from ingest.feeds._records import Maker
from ingest.feeds._sides import side_of
from ingest.rest_venue import Page, Place, Request
from market.errors import DataValidationError
from market.trade import Trade

TRADES = "trade"
REST = "https://futures.kraken.com/derivatives/api/v3"
_MOST = 100


class _Trade(msgspec.Struct):
    uid: str
    side: str
    time: str
    price: msgspec.Raw = ABSENT
    size: msgspec.Raw = ABSENT


class _Answer(msgspec.Struct):
    result: str
    error: str = ""
    history: list[_Trade] = []


_ANSWER = msgspec.json.Decoder(_Answer)


def history(market: str, product: str, place: Place, end: int) -> Request:
    """The request for a page of trades; a place's number is the time (milliseconds) that it goes back from."""
    before = place.number if place.number is not None else -(-stretch_until(place, end) // 1000)
    return Request(market, f"{REST}/history?{urlencode({'symbol': product, 'lastTime': iso_of_millis(before)})}", 1)


def page(place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer. Raises DataValidationError (`no_history`) where it does not reach back so far."""
    trades = [record for record in parsed.records if isinstance(record, Trade)]
    if len(trades) < _MOST and not any(trade.event_time <= place.time for trade in trades):
        raise not_told("Kraken Futures tells no trades before this time any more: ask for the last seven days")
    return backward_page(trades, place, end, _MOST, lambda trades: trades[0].event_time // 1000, "Kraken Futures")


def product_of(url: str) -> str | None:
    """The contract that a request names, of those that are read here; None for others."""
    parts = urlsplit(url)
    if not parts.path.endswith("/api/v3/history"):
        return None
    return asked_for(url, "symbol").upper()


def read(answer: bytes, maker: Maker) -> Parsed:
    """The trades of an answer, oldest first; they are numbered by their place in it."""
    told = decode(_ANSWER, answer)
    if told.result != "success":
        raise DataValidationError("venue_error", f"the venue refuses a request: {told.error or told.result:.200}")
    return Parsed(TRADES, [_trade(trade, place, maker) for place, trade in enumerate(reversed(told.history), start=1)])


def _trade(trade: _Trade, place: int, maker: Maker) -> Trade:
    return maker.trade(
        trade_id=trade.uid,
        sequence=place,
        price=number(trade.price, "price"),
        size=number(trade.size, "size"),
        side=side_of(trade.side),
        exchange_time=micros_of_iso(trade.time, "exchange_time"),
    )
