"""What Gate.io tells of perpetual contracts in USDT: in streams, order books and trades by REST, and the list of contracts.

Books, book tops, candles and the list are read as recorded; trades and tickers as documented ("futures.trades",
"futures.tickers", "Futures market transaction records"), none was recorded. Sizes are contracts; that of a sale is below zero
in trades. By REST trades are told under the ids of the stream, newest first, with times in seconds of three decimal places
(`create_time_ms`), of whole seconds of time asked for. Candles of the past and the funding that was paid are read as
documented, too ("Futures market K-line chart", "Futures market historical funding rate").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._definitions import define, read_definitions
from ingest.feeds._levels import levels_of
from ingest.feeds._numbers import ABSENT, number, number_or_none
from ingest.feeds._pages import Window, backward_page, stretch_until
from ingest.feeds._records import Maker, micros_of_millis
from ingest.rest_venue import Defined, Page, Place, Request
from market.decimals import parse_decimal, parse_positive
from market.depth import Depth, DepthKind, Level
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.instrument_definition import InstrumentDefinition
from market.trade import Trade
from schemas.records import Record

MARKET = "usdt"
TRADES, BOOKS, BOOK_TICKER = "futures.trades", "futures.order_book_update", "futures.book_ticker"
TICKERS, CANDLES = "futures.tickers", "futures.candlesticks"
CHANNELS = (TRADES, BOOKS, BOOK_TICKER, TICKERS, CANDLES)

_SETTLED = "USDT"
_MOST_LEVELS = 100
_MOST_TRADES = 1_000
_MOST_OF_PAST = 1_000
_INTERVAL = "1m"
PAYMENTS = "futures.funding_rate"
"""Channel of the records of funding that was paid."""
_PATHS = {CANDLES: "candlesticks", TICKERS: "funding_rate"}
_SECOND = 1_000_000
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Trade(msgspec.Struct):
    id: _Count
    contract: str
    create_time_ms: msgspec.Raw
    price: str
    size: msgspec.Raw


class _Level(msgspec.Struct):
    p: str
    s: msgspec.Raw


class _Book(msgspec.Struct):
    t: _Count
    s: str
    U: _Count
    u: _Count
    b: list[_Level]
    a: list[_Level]


class _Snapshot(msgspec.Struct):
    id: _Count
    bids: list[_Level]
    asks: list[_Level]
    update: msgspec.Raw = ABSENT


class _BookTicker(msgspec.Struct):
    t: _Count
    u: _Count
    s: str
    b: str
    B: msgspec.Raw
    a: str
    A: msgspec.Raw


class _Ticker(msgspec.Struct):
    contract: str
    last: str
    change_percentage: str
    funding_rate: str
    mark_price: str
    index_price: str
    total_size: str
    high_24h: str | None = None
    low_24h: str | None = None


class _PastCandle(msgspec.Struct):
    t: _Count
    v: msgspec.Raw
    c: str
    h: str
    l: str  # noqa: E741  # the venue's name
    o: str


class _Candle(_PastCandle, kw_only=True):
    n: str
    w: bool = False


class _Payment(msgspec.Struct):
    """`t` is in seconds."""

    t: _Count
    r: str


class _Contract(msgspec.Struct):
    name: str
    order_price_round: str
    order_size_min: int
    quanto_multiplier: str
    in_delisting: bool


_TRADE_LIST = msgspec.json.Decoder(list[_Trade])
_BOOK = msgspec.json.Decoder(_Book)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_BOOK_TICKER = msgspec.json.Decoder(_BookTicker)
_TICKER_LIST = msgspec.json.Decoder(list[_Ticker])
_CANDLE_LIST = msgspec.json.Decoder(list[_Candle])
_PAST_CANDLES = msgspec.json.Decoder(list[_PastCandle])
_PAYMENT_LIST = msgspec.json.Decoder(list[_Payment])
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_CONTRACT = msgspec.json.Decoder(_Contract)

MakerOf = Callable[[str], Maker]
"""The maker of records of a contract."""


def instrument_of(contract: str) -> str:
    """Instrument of BTC_USDT. Raises DataValidationError."""
    base, _, quote = contract.partition("_")
    if not base or quote != _SETTLED:
        raise DataValidationError("unknown_symbol", f"{contract!r:.80} is no contract such as BTC_USDT", field="contract")
    return check_instrument(f"gateio:{base}-{quote}-PERP")


def read(channel: str, result: msgspec.Raw, time: int | None, maker_of: MakerOf) -> Sequence[Record]:
    """The records of a message of a stream; `time` is that of the message."""
    return _READERS[channel](result, time, maker_of)


def book_request(rest: str, contract: str) -> Request:
    """The request for the order book of a contract."""
    return Request(MARKET, f"{rest}/futures/usdt/order_book?contract={contract}&limit={_MOST_LEVELS}&with_id=true", 1)


def read_book(answer: bytes, maker: Maker) -> Depth:
    """The order book of an answer; its time is in seconds."""
    book = decode(_SNAPSHOT, answer)
    told = number_or_none(book.update, "exchange_time")
    time = None if told is None else _micros_of_seconds(told)
    bids, asks = _levels(book.bids, "bids"), _levels(book.asks, "asks")
    return maker.depth(DepthKind.SNAPSHOT, bids, asks, time, last=book.id)


def history(rest: str, contract: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page; of trades a place's number is how many of its stretch were told, of tickers it is funding."""
    if channel in _PATHS:
        window = _window(channel, place, end)
        span = {"from": -(-window.begin // _SECOND), "to": (window.until - 1) // _SECOND}  # both are part of it
        more: dict[str, object] = {"interval": _INTERVAL} if channel == CANDLES else {"limit": _MOST_OF_PAST}
        query = urlencode({"contract": contract, **more, **span})
        return Request(MARKET, f"{rest}/futures/usdt/{_PATHS[channel]}?{query}", 1)
    if channel != TRADES:
        return None
    span = {"from": place.time // _SECOND, "to": -(-stretch_until(place, end) // _SECOND)}
    query = urlencode({"contract": contract, **span, "limit": _MOST_TRADES, "offset": place.number or 0})
    return Request(MARKET, f"{rest}/futures/usdt/trades?{query}", 1)


def page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer. Raises DataValidationError (`no_history`), see `backward_page`."""
    if channel == CANDLES:
        return _window(channel, place, end).page(parsed.records)
    if channel == TICKERS:
        return _window(channel, place, end).payments(parsed.records)
    told = place.number or 0
    return backward_page(parsed.records, place, end, _MOST_TRADES, lambda trades: told + len(trades), "Gate.io")


def is_past(url: str) -> bool:
    """Whether this is the address of history: of trades, candles, or funding that was paid."""
    return urlsplit(url).path.endswith(("/futures/usdt/trades", *(f"/futures/usdt/{path}" for path in _PATHS.values())))


def read_past(url: str, answer: bytes, maker: Maker) -> Parsed:
    """The history in an answer, oldest first."""
    path = urlsplit(url).path.rpartition("/")[2]
    if path == _PATHS[TICKERS]:
        newest_first = decode(_PAYMENT_LIST, answer)
        return Parsed(PAYMENTS, [maker.payment(PAYMENTS, one.t * _SECOND, one.r) for one in reversed(newest_first)])
    if path == _PATHS[CANDLES]:
        return Parsed(CANDLES, [_past_candle(candle, maker) for candle in decode(_PAST_CANDLES, answer)])
    trades = [_trade(trade, maker, _micros_of_seconds) for trade in decode(_TRADE_LIST, answer)]
    trades.sort(key=lambda trade: trade.sequence)
    return Parsed(TRADES, trades)


def list_request(rest: str) -> Request:
    """The request for the list of contracts."""
    return Request(MARKET, f"{rest}/futures/usdt/contracts", 1)


def symbols_of(answer: bytes) -> list[str]:
    """The contracts of such a list."""
    return [decode(_CONTRACT, row).name for row in decode(_LIST, answer)]


def definitions(answer: bytes, received_at: int) -> Sequence[Defined]:
    """What such a list says of each contract."""
    rows = decode(_LIST, answer)
    return list(read_definitions(rows, _CONTRACT, received_at, lambda row: instrument_of(row.name), _define))


def _define(instrument: str, row: _Contract, received_at: int) -> InstrumentDefinition:
    return define(
        instrument,
        row.name,
        received_at,
        settle=_SETTLED,
        tick=row.order_price_round,
        lot="1",
        min_size=str(row.order_size_min),
        multiplier=parse_positive(row.quanto_multiplier, field="multiplier"),
        multiplier_currency=row.name.partition("_")[0],
        status="delisting" if row.in_delisting else "trading",
        is_trading=not row.in_delisting,
    )


def _trades(result: msgspec.Raw, _time: int | None, maker_of: MakerOf) -> Sequence[Record]:
    return [_trade(trade, maker_of(trade.contract), _micros_of_millis) for trade in decode(_TRADE_LIST, result)]


def _trade(trade: _Trade, maker: Maker, micros_of: Callable[[str], int]) -> Trade:
    size = number(trade.size, "size")
    return maker.trade(
        trade_id=str(trade.id),
        sequence=trade.id,
        price=trade.price,
        size=size.removeprefix("-"),
        side="sell" if size.startswith("-") else "buy",
        exchange_time=micros_of(number(trade.create_time_ms, "exchange_time")),
    )


def _book(result: msgspec.Raw, _time: int | None, maker_of: MakerOf) -> Sequence[Record]:
    book = decode(_BOOK, result)
    bids, asks = _levels(book.b, "bids"), _levels(book.a, "asks")
    return [maker_of(book.s).depth(DepthKind.DELTA, bids, asks, book.t * 1000, first=book.U, last=book.u)]


def _book_ticker(result: msgspec.Raw, _time: int | None, maker_of: MakerOf) -> Sequence[Record]:
    top = decode(_BOOK_TICKER, result)
    sizes = {"bid_size": number(top.B, "bid_size"), "ask_size": number(top.A, "ask_size")}
    return [maker_of(top.s).quote(BOOK_TICKER, top.t * 1000, sequence=top.u, bid=top.b, ask=top.a, **sizes)]


def _tickers(result: msgspec.Raw, time: int | None, maker_of: MakerOf) -> Sequence[Record]:
    return [record for ticker in decode(_TICKER_LIST, result) for record in _ticker(ticker, time, maker_of(ticker.contract))]


def _ticker(ticker: _Ticker, time: int | None, maker: Maker) -> Sequence[Record]:
    mark, index = ticker.mark_price, ticker.index_price
    return (
        maker.quote(
            TICKERS,
            time,
            last=ticker.last,
            high_24h=ticker.high_24h,
            low_24h=ticker.low_24h,
            change_percent_24h=ticker.change_percentage,
            mark_price=mark,
            index_price=index,
        ),
        maker.funding(TICKERS, time, rate=ticker.funding_rate, mark_price=mark, index_price=index),
        maker.open_interest(TICKERS, time, open_interest=ticker.total_size),
    )


def _candles(result: msgspec.Raw, time: int | None, maker_of: MakerOf) -> Sequence[Record]:
    return [_candle(candle, time, maker_of) for candle in decode(_CANDLE_LIST, result)]


def _candle(candle: _Candle, time: int | None, maker_of: MakerOf) -> Record:
    """`n` is interval and contract: 1m_BTC_USDT; `v` is in contracts."""
    interval, _, contract = candle.n.partition("_")
    if interval != _INTERVAL:
        raise DataValidationError("wrong_interval", f"n: {candle.n!r:.40} names no interval that is carried", field="n")
    given: dict[str, Any] = {"volume": parse_decimal(number(candle.v, "volume"), field="volume")}
    return maker_of(contract).kline(
        interval,
        candle.t * 1_000_000,
        {"open": candle.o, "high": candle.h, "low": candle.l, "close": candle.c},
        is_closed=candle.w,
        exchange_time=time,
        **given,
    )


def _past_candle(candle: _PastCandle, maker: Maker) -> Record:
    """It is of a minute; `v` is in contracts."""
    given: dict[str, Any] = {"volume": parse_decimal(number(candle.v, "volume"), field="volume")}
    opened = candle.t * _SECOND
    return maker.past_kline(
        _INTERVAL, opened, {"open": candle.o, "high": candle.h, "low": candle.l, "close": candle.c}, **given
    )


def _window(channel: str, place: Place, end: int) -> Window:
    if channel == CANDLES:
        return Window.at(place, end, _INTERVAL, _MOST_OF_PAST)
    return Window.of_funding(place, end, _MOST_OF_PAST)


def _levels(levels: Sequence[_Level], side: str) -> tuple[Level, ...]:
    return levels_of([(level.p, number(level.s, side)) for level in levels], side)


def _micros_of_millis(text: str) -> int:
    return micros_of_millis(text, "exchange_time")


def _micros_of_seconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return micros_of_millis(f"{whole}{fraction[:3].ljust(3, '0')}", "exchange_time")


_READERS: Mapping[str, Callable[[msgspec.Raw, int | None, MakerOf], Sequence[Record]]] = {
    TRADES: _trades,
    BOOKS: _book,
    BOOK_TICKER: _book_ticker,
    TICKERS: _tickers,
    CANDLES: _candles,
}
