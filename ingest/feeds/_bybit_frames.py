"""What Bybit's v5 frames say: topics of trades, books, tickers and klines, and the parser that makes records of them.

Sizes, volumes and open interest of inverse contracts are dollars, their turnovers and values are in the base currency (docs:
"Kline", "Ticker"): the records of these have no amounts in the quote currency. Of inverse contracts no frame was recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Listings, Parsed
from ingest.feeds._levels import levels_of
from ingest.feeds._records import Maker, amount_of, micros_of_millis, percent_of
from ingest.feeds._refusals import refused
from ingest.feeds._sides import side_of
from ingest.refusals import Requested
from ingest.symbols import split_symbol
from market.book_rules import BookRules, by_one
from market.decimals import parse_decimal
from market.depth import DepthKind
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of
from market.trade import Side
from schemas.records import Record

SPOT, LINEAR, INVERSE = "spot", "linear", "inverse"
TRADES, TICKERS = "publicTrade", "tickers"

INTERVALS = {
    **{str(minutes): f"{minutes}m" for minutes in (1, 3, 5, 15, 30)},
    **{str(60 * hours): f"{hours}h" for hours in (1, 2, 4, 6, 12)},
    "D": "1d",
    "W": "1w",
    "M": "1M",
}

_QUOTE_ASSETS = ("USDT", "USDC", "USDE", "BTC", "ETH", "EUR", "BRL", "DAI")
_USDC_PERPETUAL = "PERP"
DOLLARS = "USD"
"""In what inverse contracts are quoted, and no others."""
_NOT_CARRIED = re.compile(r"(allLiquidation|liquidation|kline_lt|tickers_lt|lt|insurance|priceLimit|adlAlert)[\w.]*", re.ASCII)
SIDES: Mapping[str, Side] = {"Buy": "buy", "Sell": "sell"}
_RESTARTED = 1
_LONGEST_HOURS = 4  # digits
_MOST_TRADES = 1024  # of one message, by the venue's word
_BOOK_RULES = BookRules(by_one)

_ABSENT = msgspec.Raw(b"")
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Rows = list[tuple[str, str]]


class _Message(msgspec.Struct):
    """Any frame: of a topic, or an answer to a request of ours (`op`). `cts` is the time of the book."""

    topic: str | None = None
    type: str | None = None
    op: str | None = None
    success: bool | None = None
    ret_msg: str | None = None
    req_id: str | None = None
    ts: _Count = 0
    cts: _Count | None = None
    data: msgspec.Raw = _ABSENT


class _Trade(msgspec.Struct):
    T: _Count
    s: str
    S: str
    v: str
    p: str
    i: str
    seq: _Count
    BT: bool = False


class _Book(msgspec.Struct):
    s: str
    b: _Rows
    a: _Rows
    u: _Count


class _Ticker(msgspec.Struct, rename="camel"):
    """A snapshot has all fields, a delta those that changed."""

    symbol: str
    last_price: str | None = None
    bid1_price: str | None = None
    bid1_size: str | None = None
    ask1_price: str | None = None
    ask1_size: str | None = None
    prev_price24h: str | None = msgspec.field(name="prevPrice24h", default=None)
    high_price24h: str | None = msgspec.field(name="highPrice24h", default=None)
    low_price24h: str | None = msgspec.field(name="lowPrice24h", default=None)
    volume24h: str | None = None
    turnover24h: str | None = None
    price24h_pcnt: str | None = None
    mark_price: str | None = None
    index_price: str | None = None
    funding_rate: str | None = None
    next_funding_time: str | None = None
    funding_interval_hour: str | None = None
    open_interest: str | None = None
    open_interest_value: str | None = None


class _Kline(msgspec.Struct):
    start: _Count
    interval: str
    open: str
    close: str
    high: str
    low: str
    volume: str
    turnover: str
    confirm: bool
    timestamp: _Count


_FUNDING = frozenset(("funding_rate", "next_funding_time", "funding_interval_hour"))
_OPEN_INTEREST = frozenset(("open_interest", "open_interest_value"))

_MESSAGE = msgspec.json.Decoder(_Message)
_TRADE_LIST = msgspec.json.Decoder(list[_Trade])
_BOOK = msgspec.json.Decoder(_Book)
_TICKER = msgspec.json.Decoder(_Ticker)
_KLINES = msgspec.json.Decoder(list[_Kline])


class _Topic(NamedTuple):
    """A topic taken apart: orderbook.200.BTCUSDT is the channel orderbook.200 of BTCUSDT."""

    channel: str
    symbol: str
    instrument: str


class BybitParser:
    """Reads the frames of one connection; see `ingest.feed.BookParser` and `ingest.refusals.RequestedParser`."""

    contiguous: Collection[str] = ()

    def __init__(self, market: str | None, listings: Listings, max_clock_skew: int) -> None:
        self.requested = Requested()
        self._market = market
        self._listings = listings
        self._max_skew = max_clock_skew
        self._topics: dict[str, _Topic] = {}
        self._tickers: dict[str, dict[str, str]] = {}
        self._readers: dict[str, Callable[[_Message, _Topic, Maker], Sequence[Record]]] = {
            TRADES: self._trades,
            "orderbook": _books,
            TICKERS: self._read_ticker,
            "kline": _klines,
        }

    def book_rules(self, _channel: str) -> BookRules:
        """Snapshots come in the stream; `u` rises by one (docs: "Orderbook", "How to process data")."""
        return _BOOK_RULES

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        message = decode(_MESSAGE, frame)
        if message.topic is None:
            return self._answer(message)
        kind = message.topic.partition(".")[0]
        reader = self._readers.get(kind)
        if reader is None:
            if _NOT_CARRIED.fullmatch(message.topic):
                return Parsed(kind, ())
            raise DataValidationError("unknown_stream", f"topic: {message.topic!r:.80} is not known", field="topic")
        if not bytes(message.data):
            raise DataValidationError("missing_field", "data: the frame does not have it", field="data")
        topic = self._topics.get(message.topic)
        if topic is None:
            topic = self._topics[message.topic] = self._resolve(message.topic)
        return Parsed(topic.channel, reader(message, topic, Maker(topic.instrument, received_at, self._max_skew)))

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            topic = decode(_MESSAGE, frame).topic or ""
        except DataValidationError:
            return UNKNOWN_CHANNEL
        known = topic.partition(".")[0] in self._readers
        return topic.rpartition(".")[0] or UNKNOWN_CHANNEL if known else UNKNOWN_CHANNEL

    def _answer(self, message: _Message) -> Parsed:
        """Refusals are read as documented ("Connect", "Understanding the Subscription Response"); none was recorded."""
        streams = self.requested.answered(message.req_id)
        if message.success is False:
            return refused((message.ret_msg,), streams)
        if message.op is None:
            raise DataValidationError("missing_field", "topic: the frame does not have it", field="topic")
        return Parsed("reply", ())

    def _resolve(self, topic: str) -> _Topic:
        channel, _, symbol = topic.rpartition(".")
        if self._market is None:
            raise DataValidationError(
                "unknown_market", f"nothing shows whether {symbol:.40} is of {SPOT}, {LINEAR} or {INVERSE}", field="topic"
            )
        listed = self._listings.get(self._market, {}).get(symbol)
        return _Topic(channel, symbol, listed or instrument_of_symbol(self._market, symbol))

    def _trades(self, message: _Message, topic: _Topic, maker: Maker) -> Sequence[Record]:
        trades = decode(_TRADE_LIST, message.data)
        for trade in trades:
            _check_symbol(trade.s, topic)
        return [_trade(trade, number, maker) for number, trade in enumerate(trades) if not trade.BT]

    def _read_ticker(self, message: _Message, topic: _Topic, maker: Maker) -> Sequence[Record]:
        """What a delta leaves out is as it was, by the venue's word, so the records have it.

        Funding and open interest are told by the messages alone that say something of them: prices change far more often.
        """
        told = _told(message.data)
        _check_symbol(told["symbol"], topic)
        known = told if message.type == "snapshot" else self._tickers.get(topic.symbol, {}) | told
        records = _of_ticker(known, told, message.ts, maker)
        self._tickers[topic.symbol] = known
        return records


def read_snapshot(data: msgspec.Raw, millis: int, maker: Maker) -> Sequence[Record]:
    """The records of a ticker that has all its fields."""
    told = _told(data)
    return _of_ticker(told, told, millis, maker)


def _told(data: msgspec.Raw) -> dict[str, str]:
    return {name: text for name, text in msgspec.structs.asdict(decode(_TICKER, data)).items() if text is not None}


def _of_ticker(known: dict[str, str], told: Mapping[str, str], millis: int, maker: Maker) -> list[Record]:
    records = [_ticker(known, millis, TICKERS, maker)]
    if known.get("funding_rate") and told.keys() & _FUNDING:
        records.append(_funding(known, millis, TICKERS, maker))
    if known.get("open_interest") and told.keys() & _OPEN_INTEREST:
        records.append(_open_interest(known, millis, TICKERS, maker))
    return records


def instrument_of(market: str, base: str, quote: str, delivery: str = "") -> str:
    """Instrument of a pair, or of a contract: perpetual, or delivered on a day (260925)."""
    contract = f"-{delivery or 'PERP'}" if market in (LINEAR, INVERSE) else ""
    return check_instrument(f"bybit:{base}-{quote}{contract}")


def instrument_of_symbol(market: str, symbol: str) -> str:
    """Instrument of BTCUSDT, in USDC of BTCPERP, inverse of BTCUSD, by its form. Raises DataValidationError."""
    if market == LINEAR and symbol.endswith(_USDC_PERPETUAL):
        return instrument_of(market, symbol.removesuffix(_USDC_PERPETUAL), "USDC")
    return instrument_of(market, *split_symbol(symbol, (DOLLARS,) if market == INVERSE else _QUOTE_ASSETS))


def market_of_instrument(instrument: str) -> str:
    """Market of an instrument."""
    _, quote, *contract = code_of(instrument).split("-")
    if not contract:
        return SPOT
    return INVERSE if quote == DOLLARS else LINEAR


def amount_told(turnover: str | None, instrument: str) -> str | None:
    """A turnover in the quote currency; of inverse contracts None, as it is told in the base currency."""
    return None if market_of_instrument(instrument) == INVERSE else turnover


def sequence_of(seq: int, number: int) -> int:
    """`seq` is shared by the trades of one match, which stand in one message in their order: both make the sequence."""
    return seq * _MOST_TRADES + number


def _trade(trade: _Trade, number: int, maker: Maker) -> Record:
    return maker.trade(
        trade_id=trade.i,
        sequence=sequence_of(trade.seq, number),
        price=trade.p,
        size=trade.v,
        side=side_of(trade.S, SIDES),
        exchange_time=trade.T * 1000,
    )


def _books(message: _Message, topic: _Topic, maker: Maker) -> Sequence[Record]:
    """A message numbered 1 is a snapshot after a restart of the venue, whatever it calls itself."""
    book = decode(_BOOK, message.data)
    _check_symbol(book.s, topic)
    is_snapshot = message.type == "snapshot" or book.u == _RESTARTED
    time = message.ts if message.cts is None else message.cts
    kind = DepthKind.SNAPSHOT if is_snapshot else DepthKind.DELTA
    return [maker.depth(kind, levels_of(book.b, "bids"), levels_of(book.a, "asks"), time * 1000, last=book.u)]


def _ticker(known: dict[str, str], millis: int, channel: str, maker: Maker) -> Record:
    return maker.quote(
        channel,
        millis * 1000,
        bid=known.get("bid1_price"),
        bid_size=known.get("bid1_size"),
        ask=known.get("ask1_price"),
        ask_size=known.get("ask1_size"),
        last=known.get("last_price"),
        open_24h=known.get("prev_price24h"),
        high_24h=known.get("high_price24h"),
        low_24h=known.get("low_price24h"),
        volume_24h=known.get("volume24h"),
        amount_24h=amount_told(known.get("turnover24h"), maker.instrument),
        change_percent_24h=percent_of(known.get("price24h_pcnt"), "change_percent_24h"),
        mark_price=known.get("mark_price"),
        index_price=known.get("index_price"),
    )


def _funding(known: Mapping[str, str], millis: int, channel: str, maker: Maker) -> Record:
    return maker.funding(
        channel,
        millis * 1000,
        rate=known["funding_rate"],
        next_funding_time=micros_of_millis(known.get("next_funding_time") or "0", "next_funding_time"),
        interval_seconds=_seconds_of_hours(known.get("funding_interval_hour") or "0", "interval_seconds"),
        mark_price=known.get("mark_price"),
        index_price=known.get("index_price"),
    )


def _seconds_of_hours(text: str, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_HOURS):
        raise DataValidationError("wrong_type", f"{field}: {text!r:.40} is no number of hours", field=field)
    return int(text) * 3_600


def _open_interest(known: Mapping[str, str], millis: int, channel: str, maker: Maker) -> Record:
    notional = amount_told(known.get("open_interest_value"), maker.instrument)
    return maker.open_interest(channel, millis * 1000, open_interest=known["open_interest"], notional=notional)


def _klines(message: _Message, topic: _Topic, maker: Maker) -> Sequence[Record]:
    return [_kline(kline, topic, maker) for kline in decode(_KLINES, message.data)]


def _kline(kline: _Kline, topic: _Topic, maker: Maker) -> Record:
    interval = INTERVALS.get(kline.interval)
    if interval is None or topic.channel != f"kline.{kline.interval}":
        raise DataValidationError("wrong_interval", f"interval: {kline.interval!r:.20} in {topic.channel}", field="interval")
    amount = amount_told(kline.turnover, maker.instrument)
    given: dict[str, Any] = {
        "volume": parse_decimal(kline.volume, field="volume"),
        "amount": None if amount is None else amount_of(amount, "amount"),
    }
    return maker.kline(
        interval,
        kline.start * 1000,
        {"open": kline.open, "high": kline.high, "low": kline.low, "close": kline.close},
        is_closed=kline.confirm,
        exchange_time=kline.timestamp * 1000,
        **given,
    )


def _check_symbol(symbol: str, topic: _Topic) -> None:
    if symbol != topic.symbol:
        raise DataValidationError("symbol_mismatch", f"symbol: {symbol!r:.40} in the topic of {topic.symbol}", field="symbol")
