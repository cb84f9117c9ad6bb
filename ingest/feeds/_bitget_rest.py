"""What Bitget is asked for by REST of its past, and what it answers: trades and candles of pairs and perpetuals, and funding.

Read as documented for version 2 ("Get Market Trades", "Get History Transactions", "Get History Candlestick Data", "Get
Historical Funding Rates"); none was recorded. Of funding the last hundred payments are asked for: the pages behind them are
counted from the newest on, so they move while they are read. Its streams number no
trades, so those by REST get the ids that the streams' have, of their own figures; the venue's number is their sequence.
Their times are documented as milliseconds, though the examples show whole seconds: were they no finer the ids would differ,
and what was missed would not be taken for told (see `ingest.refilling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._nameless import NamelessTrades
from ingest.feeds._pages import Window, backward_page, latest_payments, stretch_until
from ingest.feeds._records import Maker, amount_of, figure_or_none, micros_of_millis
from ingest.feeds._sides import side_of
from ingest.rest_venue import Page, Place, Request
from market.errors import DataValidationError
from market.trade import Trade
from schemas.records import Record

TRADES, TICKER = "trade", "ticker"
INTERVALS = {
    **{f"candle{minutes}m": f"{minutes}m" for minutes in (1, 5, 15, 30)},
    **{f"candle{hours}H": f"{hours}h" for hours in (1, 4)},
}
"""Of the channels of candles."""
PAYMENTS = "history-fund-rate"
"""Path of the funding that was paid; records of it have this for their channel."""
SPOT, CONTRACTS = "sp", "mc"
_PATHS = {SPOT: "spot", CONTRACTS: "mix"}
_REST = "https://api.bitget.com/api/v2"
_MOST = 1_000
_MOST_CANDLES = 200
_MOST_PAYMENTS = 100
_TRADES_PATH, _CANDLES_PATH = "fills-history", "history-candles"
_GRANULARITIES = {
    SPOT: {f"{minutes}min": f"candle{minutes}m" for minutes in (1, 5, 15, 30)} | {"1h": "candle1H", "4h": "candle4H"},
    CONTRACTS: {channel.removeprefix("candle"): channel for channel in INTERVALS},
}
"""Channels by the words for their intervals in requests."""
_LONGEST_ID = 19
_PRODUCTS = {"USDT": "USDT-FUTURES", "USD": "COIN-FUTURES"}


class _Trade(msgspec.Struct, rename="camel"):
    trade_id: Annotated[str, msgspec.Meta(pattern=f"^[0-9]{{1,{_LONGEST_ID}}}$")]
    price: str
    size: str
    side: str
    ts: str


class _Payment(msgspec.Struct, rename="camel"):
    funding_rate: str
    funding_time: str


class _Answer(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


_ANSWER = msgspec.json.Decoder(_Answer)
_TRADES = msgspec.json.Decoder(list[_Trade])
_CANDLES = msgspec.json.Decoder(list[list[str]])
_PAYMENTS = msgspec.json.Decoder(list[_Payment])


def figures_of(price: str, size: str, side: str) -> str:
    """What tells a trade from others of its time, of a stream and by REST, whether or not figures end in zeros."""
    return f"{_plain(price)}:{_plain(size)}:{side}"


def history(market: str, base: str, quote: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page; of trades a place's number is that of the one it goes back from, of tickers it is of funding."""
    names = {"symbol": f"{base}{quote}"}
    if market == CONTRACTS:
        product = _PRODUCTS.get(quote)
        if product is None:
            return None
        names["productType"] = product
    if channel in INTERVALS:
        until = {"endTime": -(-_window(channel, place, end).until // 1000), "limit": _MOST_CANDLES}
        word = next(word for word, theirs in _GRANULARITIES[market].items() if theirs == channel)
        return _request(market, _CANDLES_PATH, names | {"granularity": word}, until)
    if channel == TICKER:
        return _request(market, PAYMENTS, names, {"pageSize": _MOST_PAYMENTS}) if market == CONTRACTS else None
    if channel != TRADES:
        return None
    span = {"startTime": place.time // 1000, "endTime": -(-stretch_until(place, end) // 1000), "limit": _MOST}
    behind = {} if place.number is None else {"idLessThan": place.number}
    return _request(market, _TRADES_PATH, names, span | behind)


def page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer. Raises DataValidationError (`no_history`), see `backward_page` and `latest_payments`."""
    if channel in INTERVALS:
        return _window(channel, place, end).page(parsed.records)
    if channel == TICKER:
        return latest_payments("Bitget", parsed.records, place, end, _MOST_PAYMENTS)
    return backward_page(parsed.records, place, end, _MOST, lambda trades: trades[0].sequence, "Bitget")


def symbol_of(url: str) -> str | None:
    """The symbol that a request names, of those that are read here; None for others."""
    parts = urlsplit(url)
    if not parts.path.endswith(tuple(f"/market/{path}" for path in (_TRADES_PATH, _CANDLES_PATH, PAYMENTS))):
        return None
    return asked_for(url, "symbol")


def read(market: str, url: str, answer: bytes, maker: Maker) -> Parsed:
    """What an answer tells, oldest first."""
    told = decode(_ANSWER, answer)
    if told.code != "00000":
        raise DataValidationError("venue_error", f"the venue refuses a request: {told.code:.20} {told.msg:.200}")
    parts = urlsplit(url)
    if parts.path.endswith(_CANDLES_PATH):
        channel = _GRANULARITIES[market].get(asked_for(url, "granularity"))
        if channel is None:
            raise DataValidationError("wrong_interval", "granularity: the request has none that is known", field="interval")
        return Parsed(channel, [_candle(row, INTERVALS[channel], maker) for row in decode(_CANDLES, told.data)])
    if parts.path.endswith(PAYMENTS):
        newest_first_paid = decode(_PAYMENTS, told.data)
        return Parsed(PAYMENTS, [_payment(one, maker) for one in reversed(newest_first_paid)])
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


def _payment(paid: _Payment, maker: Maker) -> Record:
    return maker.payment(PAYMENTS, micros_of_millis(paid.funding_time, "exchange_time"), paid.funding_rate)


def _candle(row: Sequence[str], interval: str, maker: Maker) -> Record:
    """Time, open, high, low, close, volume; of pairs the amount in USDT; the amount."""
    if len(row) < 7:
        raise DataValidationError("missing_field", "a candle needs seven figures", field="data")
    opened = micros_of_millis(row[0], "open_time")
    given: dict[str, Any] = {"volume": figure_or_none(row[5], "volume"), "amount": amount_of(row[-1], "amount")}
    return maker.past_kline(interval, opened, {"open": row[1], "high": row[2], "low": row[3], "close": row[4]}, **given)


def _request(market: str, path: str, names: dict[str, str], options: dict[str, int]) -> Request:
    return Request(market, f"{_REST}/{_PATHS[market]}/market/{path}?{urlencode({**names, **options})}", 1)


def _window(channel: str, place: Place, end: int) -> Window:
    """Of one candle fewer than are told at most, since the end may be part of an answer."""
    return Window.at(place, end, INTERVALS[channel], _MOST_CANDLES - 1)


def _plain(figure: str) -> str:
    return figure.rstrip("0").rstrip(".") if "." in figure else figure
