"""Bitget, WebSocket API v1: spot (`sp`) and mixed contracts (`mc`).

Spot is `bitget:EOS-USDT`, a perpetual `bitget:UNI-USDT-PERP`. Trades have no id, so they get one of their own figures; after
subscribing the last 50 are told again, newest first. The open of a kline is the close of the one before, not its first trade.
What is spoken is version 1, as recorded; only the past is asked for in version 2 (`_bitget_rest`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Heartbeat, Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _bitget_rest
from ingest.feeds._arg_frames import CANDLE, Arg, ArgParser, Message, check_symbol, op_requests, read_books, rows
from ingest.feeds._bitget_rest import CONTRACTS, INTERVALS, SPOT
from ingest.feeds._definitions import define, read_definitions, step_of_places, whole_of
from ingest.feeds._instruments import by_symbol
from ingest.feeds._interleaved import LEVELS, checksum, text_of
from ingest.feeds._nameless import NamelessTrades
from ingest.feeds._records import Maker, figure_or_none, micros_of_millis, percent_of
from ingest.feeds._sides import side_of
from ingest.feeds._subscriptions import Offer
from ingest.quota import Quota
from ingest.rest_venue import Defined, Page, Place, Request
from ingest.symbols import split_symbol
from market.book_rules import BookRules
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of
from market.instrument_definition import InstrumentDefinition
from schemas.records import Record

_ADDRESS, _REST = "wss://ws.bitget.com", "https://api.bitget.com/api"
_LISTS = {
    SPOT: ("spot/v1/public/products",),
    CONTRACTS: ("mix/v1/market/contracts?productType=umcbl", "mix/v1/market/contracts?productType=dmcbl"),
}
# Half of the ten requests for old trades that an address has in a second; lists have 20 (docs: "Get Market Trades").
_QUOTA = Quota(5, 1.0)
_LIST_PATHS = ("/public/products", "/market/contracts")
_PATHS = {SPOT: "spot/v1/stream", CONTRACTS: "mix/v1/stream"}
# Fewer than 50 channels a connection are advised, 10 messages a second and 240 subscriptions an hour taken (docs: "Connect").
_LIMITS = Limits(streams=48, message_seconds=0.2)
# Who has sent no text ping for two minutes is cut off; one is asked for every 30 s (docs: "Connect").
_HEARTBEAT = Heartbeat("ping", 25.0)
_CHANNELS = ("trade", "books", "ticker", "candle1m")
_QUOTE_ASSETS = ("USDT", "USDC", "USD", "BTC", "ETH", "EUR", "BRL", "BGB")
_NOT_CARRIED = re.compile(r"(books(1|5|15)|candle\w+)", re.ASCII)
_BOOK_RULES = BookRules(checksum=checksum, checked_levels=LEVELS)
_OFFER = Offer(
    "bitget",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-PERP)?", re.ASCII),
    "bitget:BTC-USDT or bitget:BTC-USDT-PERP",
    _CHANNELS,
    lambda channel: channel in _CHANNELS or channel in INTERVALS,
)

_Millis = Annotated[int, msgspec.Meta(ge=0)]
_TradeRow = tuple[str, str, str, str]
_CandleRow = tuple[str, str, str, str, str, str]


class _Ticker(msgspec.Struct, rename="camel"):
    """Spot says `ts` and `open24h`, contracts `systemTime`, `priceChangePercent` (a fraction) and all below it."""

    inst_id: str
    last: str
    best_bid: str
    best_ask: str
    high24h: str
    low24h: str
    base_volume: str
    quote_volume: str
    open24h: str | None = None
    price_change_percent: str | None = None
    ts: _Millis | None = None
    system_time: _Millis | None = None
    mark_price: str | None = None
    index_price: str | None = None
    capital_rate: str | None = None
    next_settle_time: _Millis | None = None
    holding: str | None = None


class _Listing(msgspec.Struct, rename="camel"):
    symbol: str
    base: str = msgspec.field(name="baseCoin")
    quote: str = msgspec.field(name="quoteCoin")


class _Listed(msgspec.Struct):
    data: list[_Listing]


_TRADES = msgspec.json.Decoder(list[_TradeRow])
_TICKERS = msgspec.json.Decoder(list[_Ticker])
_CANDLES = msgspec.json.Decoder(list[_CandleRow])


class _Pair(_Listing, rename="camel", kw_only=True):
    price_scale: str
    quantity_scale: str
    min_trade_amount: str
    status: str


class _Contract(_Listing, rename="camel", kw_only=True):
    """Its price moves in `priceEndStep` of the last place."""

    price_place: str
    price_end_step: str
    volume_place: str
    min_trade_num: str
    support_margin_coins: list[str]


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


_LISTED = msgspec.json.Decoder(_Listed)
_LIST = msgspec.json.Decoder(_List)
_PAIR = msgspec.json.Decoder(_Pair)
_CONTRACT = msgspec.json.Decoder(_Contract)


class BitgetParser(ArgParser):
    """See `ingest.feed.BookParser`. Refusals are read as documented ("Subscribe"), with the `arg` of the stream."""

    def __init__(self, listings: Listings, max_clock_skew: int) -> None:
        self._listings = listings
        self._trades = NamelessTrades()
        super().__init__(
            max_clock_skew,
            {"trade": self._read_trades, "books": _books, "ticker": _tickers, CANDLE: _candles},
            self._instrument_named,
            candle_channels=INTERVALS,
            not_carried=_NOT_CARRIED,
        )

    def book_rules(self, _channel: str) -> BookRules:
        """Snapshot and deltas come in the stream; each has the checksum of the 25 best levels (docs: "Depth channel")."""
        return _BOOK_RULES

    def _instrument_named(self, arg: Arg) -> str:
        market = arg.inst_type.lower()  # a refusal has it as it was asked for
        if market not in (SPOT, CONTRACTS):
            raise DataValidationError(
                "unknown_market", f"instType: {market!r:.40} is no market that is known", field="instType"
            )
        return _instrument_of(market, arg.inst_id, self._listings)

    def _read_trades(self, message: Message, _arg: Arg, maker: Maker) -> Sequence[Record]:
        newest_first = rows(_TRADES, message)
        return [self._read_trade(row, maker) for row in reversed(newest_first)]

    def _read_trade(self, row: _TradeRow, maker: Maker) -> Record:
        time, price, size, side = row
        micros = micros_of_millis(time, "exchange_time")
        trade_id, sequence = self._trades.name(maker.instrument, micros, _bitget_rest.figures_of(price, size, side))
        return maker.trade(
            trade_id=trade_id, sequence=sequence, price=price, size=size, side=side_of(side), exchange_time=micros
        )


class Bitget:
    """The venue; see `ingest.feed.Venue`."""

    name = "bitget"
    markets = (SPOT, CONTRACTS)
    heartbeats = ("reply", "pong")
    default_channels = _CHANNELS
    channels = _OFFER.channels
    limits = _LIMITS
    heartbeat = _HEARTBEAT

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def route(self, subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        market = _market_of(subscription.instrument)
        return Route(market, f"{(base_url or _ADDRESS).rstrip('/')}/{_PATHS[market]}")

    def requests(
        self, subscriptions: Sequence[Subscription], _request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`."""
        args = [
            {"instType": _market_of(instrument).upper(), "channel": channel, "instId": self.symbol_of(instrument)}
            for instrument, channel in subscriptions
        ]
        return op_requests(args, _LIMITS.streams, subscribe=subscribe)

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`."""
        base, quote, *_ = code_of(instrument).split("-")
        return f"{base}{quote}"

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`."""
        parts = urlsplit(url)
        if not (parts.hostname or "").endswith("bitget.com"):
            return None
        return CONTRACTS if "/mix/" in parts.path else SPOT

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; streams name BTCUSDT what is listed as BTCUSDT_SPBL or BTCUSDT_UMCBL."""
        market = self.market_of(url)
        if market is None or not urlsplit(url).path.endswith(_LIST_PATHS):
            return {}
        rows = {listing.symbol: listing for listing in decode(_LISTED, answer).data}
        found = by_symbol(rows, lambda symbol: _listed_as(market, rows[symbol]))
        return {symbol.partition("_")[0]: instrument for symbol, instrument in found.items()}

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return [Request(market, f"{_REST}/{path}", 1) for path in _LISTS[market]]

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; contracts have no word for their state."""
        market = self.market_of(url)
        if market is None or not urlsplit(url).path.endswith(_LIST_PATHS):
            return ()
        rows = decode(_LIST, answer).data
        if market == SPOT:
            return read_definitions(rows, _PAIR, received_at, partial(_listed_as, SPOT), _define_pair)
        return read_definitions(rows, _CONTRACT, received_at, partial(_listed_as, CONTRACTS), _define_contract)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; what `_bitget_rest` knows."""
        market = self.market_of(url)
        symbol = None if market is None else _bitget_rest.symbol_of(url)
        if market is None or symbol is None:
            return None
        maker = Maker(_instrument_of(market, symbol, listings), received_at, max_clock_skew)
        return _bitget_rest.read(market, url, answer, maker)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`: trades of 90 days, perpetuals in USDT and coins."""
        instrument, channel = subscription
        base, quote, *_ = code_of(instrument).split("-")
        return _bitget_rest.history(_market_of(instrument), base, quote, channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _bitget_rest.page(subscription.channel, place, end, parsed)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`; the frames name their market themselves."""
        return BitgetParser(listings, max_clock_skew)


def _market_of(instrument: str) -> str:
    return CONTRACTS if code_of(instrument).endswith("-PERP") else SPOT


def _instrument_of(market: str, symbol: str, listings: Listings) -> str:
    return listings.get(market, {}).get(symbol) or _instrument(market, *split_symbol(symbol, _QUOTE_ASSETS))


def _instrument(market: str, base: str, quote: str) -> str:
    return check_instrument(f"bitget:{base}-{quote}{'-PERP' if market == CONTRACTS else ''}")


def _listed_as(market: str, row: _Listing) -> str:
    """The instrument of a row. Raises DataValidationError for what no stream tells of: dated contracts of the same name."""
    if "_" in row.symbol.partition("_")[2]:
        raise DataValidationError("unknown_symbol", f"{row.symbol!r:.80} is a dated contract", field="symbol")
    return _instrument(market, row.base, row.quote)


def _define_pair(instrument: str, row: _Pair, received_at: int) -> InstrumentDefinition:
    return define(
        instrument,
        row.symbol,
        received_at,
        tick=step_of_places(row.price_scale, "tick_size"),
        lot=step_of_places(row.quantity_scale, "lot_size"),
        min_size=row.min_trade_amount,
        status=row.status,
        is_trading=row.status == "online",
    )


def _define_contract(instrument: str, row: _Contract, received_at: int) -> InstrumentDefinition:
    coins = row.support_margin_coins
    return define(
        instrument,
        row.symbol,
        received_at,
        settle=coins[0] if len(coins) == 1 else None,
        tick=step_of_places(row.price_place, "tick_size", whole_of(row.price_end_step, "tick_size")),
        lot=step_of_places(row.volume_place, "lot_size"),
        min_size=row.min_trade_num,
    )


def _books(message: Message, _arg: Arg, maker: Maker) -> Sequence[Record]:
    return read_books(message, maker, text_of)


def _tickers(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [record for ticker in rows(_TICKERS, message) for record in _read_ticker(ticker, arg, maker)]


def _read_ticker(ticker: _Ticker, arg: Arg, maker: Maker) -> Sequence[Record]:
    check_symbol(ticker.inst_id, arg)
    millis = ticker.ts if ticker.ts is not None else ticker.system_time
    time = None if millis is None else millis * 1000
    records = [_quote(ticker, arg.channel, time, maker)]
    if ticker.capital_rate:
        records.append(_funding(ticker, ticker.capital_rate, arg.channel, time, maker))
    if ticker.holding:
        records.append(maker.open_interest(arg.channel, time, open_interest=ticker.holding))
    return records


def _funding(ticker: _Ticker, rate: str, channel: str, time: int | None, maker: Maker) -> Record:
    return maker.funding(
        channel,
        time,
        rate=rate,
        next_funding_time=None if ticker.next_settle_time is None else ticker.next_settle_time * 1000,
        mark_price=ticker.mark_price,
        index_price=ticker.index_price,
    )


def _quote(ticker: _Ticker, channel: str, time: int | None, maker: Maker) -> Record:
    return maker.quote(
        channel,
        time,
        bid=ticker.best_bid,
        ask=ticker.best_ask,
        last=ticker.last,
        open_24h=ticker.open24h,
        high_24h=ticker.high24h,
        low_24h=ticker.low24h,
        volume_24h=ticker.base_volume,
        amount_24h=ticker.quote_volume,
        change_percent_24h=percent_of(ticker.price_change_percent, "change_percent_24h"),
        mark_price=ticker.mark_price,
        index_price=ticker.index_price,
    )


def _candles(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    """Klines, oldest first; the venue does not say of a kline that it is finished, but each that another one follows is."""
    found = rows(_CANDLES, message)
    return [_candle(row, INTERVALS[arg.channel], maker, is_closed=row is not found[-1]) for row in found]


def _candle(row: _CandleRow, interval: str, maker: Maker, *, is_closed: bool) -> Record:
    time, open_, high, low, close, volume = row
    return maker.kline(
        interval,
        micros_of_millis(time, "open_time"),
        {"open": open_, "high": high, "low": low, "close": close},
        is_closed=is_closed,
        exchange_time=None,
        volume=figure_or_none(volume, "volume"),
    )


VENUE = Bitget()
