"""OKX, WebSocket API v5: spot, perpetual swaps and futures.

Spot is `okx:BTC-USDT`, a swap `okx:BTC-USDT-PERP`, a future `okx:BTC-USD-220527`. Sizes of swaps and futures are contracts, as
the venue has them. `side` is the taker's. Of candles of six hours and more only those of UTC days are carried; the venue's
others begin at 16:00 UTC. Candles are served at another address than the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Defined, Heartbeat, Limits, Listings, Parser, Request, Route, Subscription
from ingest.feeds._arg_frames import CANDLE, Arg, ArgParser, Message, check_symbol, op_messages, read_books, rows
from ingest.feeds._definitions import define, read_definitions, time_or_none
from ingest.feeds._interleaved import LEVELS, checksum, text_of
from ingest.feeds._records import Maker, amount_of, figure_or_none, micros_of_millis
from ingest.feeds._sides import side_of
from ingest.feeds._subscriptions import Offer
from ingest.quota import Quota
from market.book_rules import BookRules, by_previous_if_named
from market.decimals import ONE, parse_positive
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of
from market.instrument_definition import InstrumentDefinition
from schemas.records import Record

_MARKET = "v5"
_ADDRESS, _REST = "wss://ws.okx.com:8443", "https://www.okx.com/api/v5"
# Half of the 20 lists of instruments that an address may ask for in two seconds (docs: "Get instruments").
_QUOTA = Quota(10, 2.0)
_TYPES = ("SPOT", "SWAP", "FUTURES")
# A connection takes 480 requests an hour, each of at most 64 KB (docs: "WebSocket", "Connect", "Subscribe").
_LIMITS = Limits(streams=200, message_seconds=0.4)
_STREAMS_PER_MESSAGE = 100
# Who hears nothing for 30 s is cut off; the text ping is answered by the text pong (docs: "WebSocket", "Connect").
_HEARTBEAT = Heartbeat("ping", 20.0)
_SPOT = "SPOT"
_CHANNELS = ("trades", "books", "tickers", "candle1m")
_INTERVALS = {
    **{f"candle{minutes}m": f"{minutes}m" for minutes in (1, 3, 5, 15, 30)},
    **{f"candle{hours}H": f"{hours}h" for hours in (1, 2, 4)},
    "candle6Hutc": "6h",
    "candle12Hutc": "12h",
    "candle1Dutc": "1d",
}
_NOT_CARRIED = re.compile(r"(books5|bbo-tbt|books50?-l2-tbt|trades-all|candle\w+|[a-z-]+)", re.ASCII)
_DELIVERY = re.compile(r"\d{6}", re.ASCII)
_BOOK_RULES = BookRules(by_previous_if_named, checksum=checksum, checked_levels=LEVELS)
_OFFER = Offer(
    "okx",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-PERP|-\d{6})?", re.ASCII),
    "okx:BTC-USDT, okx:BTC-USDT-PERP or okx:BTC-USD-260925",
    _CHANNELS,
    lambda channel: channel in _CHANNELS or channel in _INTERVALS,
)


class _Trade(msgspec.Struct, rename="camel"):
    inst_id: str
    trade_id: str
    px: str
    sz: str
    side: str
    ts: str
    count: str = "1"  # trades of one order and price summed up under the id of the last one


class _Ticker(msgspec.Struct, rename="camel"):
    inst_id: str
    inst_type: str
    ts: str
    last: str
    last_sz: str
    ask_px: str
    ask_sz: str
    bid_px: str
    bid_sz: str
    open24h: str
    high24h: str
    low24h: str
    vol24h: str
    vol_ccy_24h: str = msgspec.field(name="volCcy24h")


class _Listing(msgspec.Struct, rename="camel"):
    inst_id: str


class _Listed(msgspec.Struct):
    data: list[_Listing]


_TRADES = msgspec.json.Decoder(list[_Trade])
_TICKERS = msgspec.json.Decoder(list[_Ticker])
_CANDLES = msgspec.json.Decoder(list[list[str]])


class _Row(msgspec.Struct, rename="camel"):
    """Of a pair, a swap or a future; what is not of its type is empty text."""

    inst_id: str
    tick_sz: str
    lot_sz: str
    min_sz: str
    settle_ccy: str
    ct_val: str
    ct_mult: str
    ct_val_ccy: str
    exp_time: str
    state: str


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


_LISTED = msgspec.json.Decoder(_Listed)
_LIST = msgspec.json.Decoder(_List)
_ROW = msgspec.json.Decoder(_Row)


class OkxParser(ArgParser):
    """See `ingest.feed.BookParser`."""

    def book_rules(self, _channel: str) -> BookRules:
        """Snapshot and deltas come in the stream (docs: "Order book channel").

        Each has the checksum of the 25 best levels, or, as of 2023, names the message before it.
        """
        return _BOOK_RULES


class Okx:
    """The venue; see `ingest.feed.Venue`."""

    name = "okx"
    markets = (_MARKET,)
    heartbeats = ("reply", "pong")
    default_channels = _CHANNELS
    limits = _LIMITS
    heartbeat = _HEARTBEAT

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def route(self, subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`; candles are of the business service (docs: "Candlesticks channel")."""
        service = "business" if subscription.channel in _INTERVALS else "public"
        return Route(_MARKET, f"{(base_url or _ADDRESS).rstrip('/')}/ws/v5/{service}")

    def requests(self, subscriptions: Sequence[Subscription], _request_id: int, _at: int, *, subscribe: bool) -> list[str]:
        """See `ingest.feed.ListeningVenue.requests`."""
        args = [{"channel": channel, "instId": self.symbol_of(instrument)} for instrument, channel in subscriptions]
        return op_messages(args, _STREAMS_PER_MESSAGE, subscribe=subscribe)

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`."""
        code = code_of(instrument)
        return f"{code.removesuffix('PERP')}SWAP" if code.endswith("-PERP") else code

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`."""
        host = urlsplit(url).hostname or ""
        return _MARKET if host.endswith(("okx.com", "okex.com")) else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; symbols say all by their form, so what is listed is only checked."""
        if not urlsplit(url).path.endswith("/public/instruments"):
            return {}
        found = {}
        for listing in decode(_LISTED, answer).data:
            try:
                found[listing.inst_id] = _instrument_of_symbol(listing.inst_id)
            except DataValidationError:
                continue  # an option: frames of it are refused by name
        return found

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.feed.DefiningVenue.definition_requests`."""
        return [Request(market, f"{_REST}/public/instruments?instType={kind}", 1) for kind in _TYPES]

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.feed.DefiningVenue.definitions`."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/public/instruments"):
            return ()
        return read_definitions(decode(_LIST, answer).data, _ROW, lambda row: _define(row, received_at))

    def quota(self, _market: str) -> Quota:
        """See `ingest.feed.DefiningVenue.quota`."""
        return _QUOTA

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return OkxParser(
            max_clock_skew,
            {"trades": _trades, "books": _books, "tickers": _tickers, CANDLE: _candles},
            lambda arg: _instrument_of_symbol(arg.inst_id),
            candle_channels=_INTERVALS,
            not_carried=_NOT_CARRIED,
            contiguous=("trades",),
        )


def _define(row: _Row, received_at: int) -> InstrumentDefinition | None:
    try:
        instrument = _instrument_of_symbol(row.inst_id)
    except DataValidationError:
        return None  # an option
    return define(
        instrument,
        row.inst_id,
        received_at,
        settle=row.settle_ccy,
        tick=row.tick_sz,
        lot=row.lot_sz,
        min_size=row.min_sz,
        multiplier=_multiplier(row) if row.ct_val else None,
        multiplier_currency=row.ct_val_ccy,
        expires_at=time_or_none(row.exp_time, "expires_at"),
        status=row.state,
        is_trading=row.state == "live",
    )


def _multiplier(row: _Row) -> int:
    """What a contract stands for: its value times its multiplier."""
    product, lost = divmod(parse_positive(row.ct_val, field="ctVal") * parse_positive(row.ct_mult, field="ctMult"), ONE)
    if lost:
        raise DataValidationError(
            "too_precise", f"multiplier: {row.ct_val} × {row.ct_mult} has too many places", field="multiplier"
        )
    return int(product)


def _instrument_of_symbol(symbol: str) -> str:
    base, _, rest = symbol.partition("-")
    quote, _, contract = rest.partition("-")
    if not quote or not (contract in ("", "SWAP") or _DELIVERY.fullmatch(contract)):
        raise DataValidationError("unknown_symbol", f"{symbol!r:.80} is no pair, swap or future", field="symbol")
    suffix = {"": "", "SWAP": "-PERP"}.get(contract, f"-{contract}")
    return check_instrument(f"okx:{base}-{quote}{suffix}")


def _trades(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_trade(trade, arg, maker) for trade in rows(_TRADES, message)]


def _trade(trade: _Trade, arg: Arg, maker: Maker) -> Record:
    check_symbol(trade.inst_id, arg)
    last, count = _whole(trade.trade_id, "trade_id"), _whole(trade.count, "trade_count")
    return maker.trade(
        trade_id=trade.trade_id,
        sequence=last,
        price=trade.px,
        size=trade.sz,
        side=side_of(trade.side),
        exchange_time=micros_of_millis(trade.ts, "exchange_time"),
        first_trade_id=str(last - count + 1),
        trade_count=count,
    )


def _books(message: Message, _arg: Arg, maker: Maker) -> Sequence[Record]:
    return read_books(message, maker, text_of)


def _tickers(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_ticker(ticker, arg, maker) for ticker in rows(_TICKERS, message)]


def _ticker(ticker: _Ticker, arg: Arg, maker: Maker) -> Record:
    """`volCcy24h` is the amount of pairs, but the volume in base currency of contracts, which `vol24h` counts."""
    check_symbol(ticker.inst_id, arg)
    is_spot = ticker.inst_type == _SPOT
    return maker.quote(
        arg.channel,
        micros_of_millis(ticker.ts, "exchange_time"),
        bid=ticker.bid_px,
        bid_size=ticker.bid_sz,
        ask=ticker.ask_px,
        ask_size=ticker.ask_sz,
        last=ticker.last,
        last_size=ticker.last_sz,
        open_24h=ticker.open24h,
        high_24h=ticker.high24h,
        low_24h=ticker.low24h,
        volume_24h=ticker.vol24h if is_spot else ticker.vol_ccy_24h,
        amount_24h=ticker.vol_ccy_24h if is_spot else None,
    )


def _candles(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_candle(candle, _INTERVALS[arg.channel], maker) for candle in rows(_CANDLES, message)]


def _candle(row: list[str], interval: str, maker: Maker) -> Record:
    """Time, open, high, low, close, volume, volume in currency; since 2022 also amount and whether it is closed ("1")."""
    if len(row) < 7:
        raise DataValidationError("missing_field", "a candle needs seven figures", field="data")
    amount = row[7] if len(row) > 7 else ""
    given: dict[str, Any] = {
        "volume": figure_or_none(row[5], "volume"),
        "amount": amount_of(amount, "amount") if amount else None,
    }
    return maker.kline(
        interval,
        micros_of_millis(row[0], "open_time"),
        {"open": row[1], "high": row[2], "low": row[3], "close": row[4]},
        is_closed=row[8:9] == ["1"],
        exchange_time=None,
        **given,
    )


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise DataValidationError("wrong_type", f"{field}: {text!r:.40} is no whole number", field=field)
    return int(text)


VENUE = Okx()
