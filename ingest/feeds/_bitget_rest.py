"""What Bitget is asked for by REST of its past, and what it answers: trades of pairs and perpetuals, newest first.

Read as documented for version 2 ("Get Market Trades", "Get History Transactions"); none was recorded. Its streams number no
trades, so those by REST get the ids that the streams' have, of their own figures; the venue's number is their sequence.
Their times are documented as milliseconds, though the examples show whole seconds: were they no finer the ids would differ,
and what was missed would not be taken for told (see `ingest.refilling`).
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._nameless import NamelessTrades
from ingest.feeds._pages import backward_page, stretch_until
from ingest.feeds._records import Maker, micros_of_millis
from ingest.feeds._sides import side_of
from ingest.rest_venue import Page, Place, Request
from market.errors import DataValidationError
from market.trade import Trade

TRADES = "trade"
SPOT, CONTRACTS = "sp", "mc"
_PATHS = {SPOT: "spot", CONTRACTS: "mix"}
_REST = "https://api.bitget.com/api/v2"
_MOST = 1_000
_LONGEST_ID = 19
_PRODUCTS = {"USDT": "USDT-FUTURES", "USD": "COIN-FUTURES"}


class _Trade(msgspec.Struct, rename="camel"):
    trade_id: Annotated[str, msgspec.Meta(pattern=f"^[0-9]{{1,{_LONGEST_ID}}}$")]
    price: str
    size: str
    side: str
    ts: str


class _Answer(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


_ANSWER = msgspec.json.Decoder(_Answer)
_TRADES = msgspec.json.Decoder(list[_Trade])


def figures_of(price: str, size: str, side: str) -> str:
    """What tells a trade from others of its time, of a stream and by REST, whether or not figures end in zeros."""
    return f"{_plain(price)}:{_plain(size)}:{side}"


def history(market: str, base: str, quote: str, place: Place, end: int) -> Request | None:
    """The request for a page of trades; a place's number is that of the trade it goes back from."""
    names = {"symbol": f"{base}{quote}"}
    if market == CONTRACTS:
        product = _PRODUCTS.get(quote)
        if product is None:
            return None
        names["productType"] = product
    span = {"startTime": place.time // 1000, "endTime": -(-stretch_until(place, end) // 1000), "limit": _MOST}
    behind = {} if place.number is None else {"idLessThan": place.number}
    return Request(market, f"{_REST}/{_PATHS[market]}/market/fills-history?{urlencode({**names, **span, **behind})}", 1)


def page(place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer. Raises DataValidationError (`no_history`), see `backward_page`."""
    return backward_page(parsed.records, place, end, _MOST, lambda trades: trades[0].sequence, "Bitget")


def symbol_of(url: str) -> str | None:
    """The symbol that a request names, of those that are read here; None for others."""
    parts = urlsplit(url)
    if not parts.path.endswith("/market/fills-history"):
        return None
    return asked_for(url, "symbol")


def read(answer: bytes, maker: Maker) -> Parsed:
    """The trades of an answer, oldest first."""
    told = decode(_ANSWER, answer)
    if told.code != "00000":
        raise DataValidationError("venue_error", f"the venue refuses a request: {told.code:.20} {told.msg:.200}")
    names, newest_first = NamelessTrades(), decode(_TRADES, told.data)
    return Parsed(TRADES, [_trade(trade, names, maker) for trade in reversed(newest_first)])


def _trade(trade: _Trade, names: NamelessTrades, maker: Maker) -> Trade:
    micros, side = micros_of_millis(trade.ts, "exchange_time"), side_of(trade.side.lower())
    return maker.trade(
        trade_id=names.name(maker.instrument, micros, figures_of(trade.price, trade.size, side))[0],
        sequence=int(trade.trade_id),
        price=trade.price,
        size=trade.size,
        side=side,
        exchange_time=micros,
    )


def _plain(figure: str) -> str:
    return figure.rstrip("0").rstrip(".") if "." in figure else figure
