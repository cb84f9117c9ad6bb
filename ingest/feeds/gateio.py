"""Gate.io, WebSocket API v4: spot pairs, such as `gateio:NEO-BTC`, and perpetuals in USDT, such as `gateio:OMG-USDT-PERP`.

`side` is the taker's. The `v` of a kline is the amount in the quote currency; the volume in the base currency, `a`, and whether
the window is closed, `w`, are told by newer servers only. Books are diffs, with snapshots asked for by REST. Candles are of one
minute. The channels of perpetuals are those that begin with `futures.`, and served at another address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import FETCHED_BOOK, Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _gateio_futures, _gateio_rest
from ingest.feeds._asked import asked_for
from ingest.feeds._definitions import define, read_definitions, step_of_places
from ingest.feeds._gateio_frames import BOOKS, GateioParser, instrument_of
from ingest.feeds._gateio_rest import CANDLES, MARKET, REST, TICKERS, TRADES
from ingest.feeds._instruments import by_symbol
from ingest.feeds._levels import levels_of
from ingest.feeds._records import Maker
from ingest.feeds._subscriptions import Offer, by_channel_in_parts, stream_request, symbols_of
from ingest.quota import Quota
from ingest.rest_venue import Defined, Page, Place, Request
from market.depth import DepthKind
from market.errors import SubscriptionError
from market.instrument import code_of
from market.instrument_definition import InstrumentDefinition

_ADDRESS, _FUTURES_ADDRESS = "wss://api.gateio.ws", "wss://fx-ws.gateio.ws"
# The venue bounds neither subscriptions nor messages, but cuts off who reads too slowly (its answer in gateio/gatews#25).
_LIMITS = Limits(streams=200, message_seconds=0.05)
_PAIRS_PER_MESSAGE = 100
_QUOTA = Quota(100, 10.0)  # half of the 200 public requests in ten seconds (docs: "Frequency limit rule")
_BOOK_LEVELS = 1_000
_CHANNELS = (TRADES, BOOKS, TICKERS, CANDLES)
_OF_BOOKS, _OF_CANDLES = (BOOKS, _gateio_futures.BOOKS), (CANDLES, _gateio_futures.CANDLES)
_OFFER = Offer(
    "gateio",
    re.compile(r"[A-Z0-9]+-([A-Z0-9]+|USDT-PERP)", re.ASCII),
    "gateio:BTC-USDT or gateio:BTC-USDT-PERP",
    (*_CHANNELS, *_gateio_futures.CHANNELS),
    lambda channel: channel in (*_CHANNELS, *_gateio_futures.CHANNELS),
)

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Rows = list[tuple[str, str]]


class _Snapshot(msgspec.Struct):
    id: _Count
    bids: _Rows
    asks: _Rows
    update: _Count | None = None


class _Listing(msgspec.Struct):
    id: str


class _Pair(_Listing, kw_only=True):
    precision: int
    amount_precision: int
    trade_status: str
    min_quote_amount: str | None = None


_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_LISTED = msgspec.json.Decoder(list[_Listing])
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_PAIR = msgspec.json.Decoder(_Pair)


class Gateio:
    """The venue; see `ingest.feed.Venue` and `ingest.rest_venue.AnsweringVenue`."""

    name = "gateio"
    markets = (MARKET, _gateio_futures.MARKET)
    heartbeats = ("reply", "spot.pong", "futures.pong")
    default_channels = _CHANNELS
    channels = _OFFER.channels
    limits = _LIMITS
    heartbeat = None  # the venue sends WebSocket pings

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`; pairs and perpetuals have channels of their own."""
        wanted = list(subscriptions)
        _OFFER.check(wanted)
        for instrument, channel in wanted:
            if _is_perpetual(instrument) != (channel in _gateio_futures.CHANNELS):
                theirs = _gateio_futures.CHANNELS if _is_perpetual(instrument) else _CHANNELS
                raise SubscriptionError(f"{channel} is no channel of {instrument}, which has {', '.join(theirs)}")

    def route(self, subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        if _is_perpetual(subscription.instrument):
            return Route(_gateio_futures.MARKET, f"{(base_url or _FUTURES_ADDRESS).rstrip('/')}/v4/ws/usdt")
        return Route(MARKET, f"{(base_url or _ADDRESS).rstrip('/')}/ws/v4/")

    def requests(
        self, subscriptions: Sequence[Subscription], request_id: int, at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`; books and candles are asked for one by one."""
        parts = enumerate(by_channel_in_parts(subscriptions, _most_pairs), request_id)
        common = {"time": at // 1_000_000, "event": "subscribe" if subscribe else "unsubscribe"}
        return [
            stream_request({**common, "id": id_, "channel": channel, "payload": self._payload(channel, part)}, part)
            for id_, (channel, part) in parts
        ]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`."""
        return code_of(instrument).removesuffix("-PERP").replace("-", "_")

    def _payload(self, channel: str, subscriptions: Sequence[Subscription]) -> list[str]:
        pairs = symbols_of(subscriptions, self.symbol_of)
        if channel in _OF_BOOKS:
            return [*pairs, "100ms"]
        return ["1m", *pairs] if channel in _OF_CANDLES else pairs

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.FetchingVenue.quota`."""
        return _QUOTA

    def book_request(self, instrument: str) -> Request:
        """See `ingest.rest_venue.FetchingVenue.book_request`."""
        pair = self.symbol_of(instrument)
        if _is_perpetual(instrument):
            return _gateio_futures.book_request(REST, pair)
        return Request(MARKET, f"{REST}/spot/order_book?currency_pair={pair}&limit={_BOOK_LEVELS}&with_id=true", 1)

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`; of pairs alone."""
        return _gateio_rest.latest(self.symbol_of(subscription.instrument), subscription.channel)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`."""
        pair = self.symbol_of(subscription.instrument)
        if _is_perpetual(subscription.instrument):
            return _gateio_futures.history(REST, pair, subscription.channel, place, end)
        return _gateio_rest.history(pair, subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        if _is_perpetual(subscription.instrument):
            return _gateio_futures.page(subscription.channel, place, end, parsed)
        return _gateio_rest.page(subscription.channel, place, end, parsed)

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`: api.gateio.ws; futures at fx-ws.gateio.ws and below /futures/usdt."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not host.endswith(("gateio.ws", "gate.io")):
            return None
        if host.startswith("fx-") or "/futures/" in parts.path:
            return _gateio_futures.MARKET if "usdt" in parts.path.split("/") else None
        return MARKET

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; pairs say all by their form, so what is listed is only checked."""
        if self.market_of(url) == _gateio_futures.MARKET and urlsplit(url).path.endswith("/contracts"):
            return by_symbol(_gateio_futures.symbols_of(answer), _gateio_futures.instrument_of)
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/spot/currency_pairs"):
            return {}
        return by_symbol((listing.id for listing in decode(_LISTED, answer)), instrument_of)

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        if market == _gateio_futures.MARKET:
            return (_gateio_futures.list_request(REST),)
        return (Request(market, f"{REST}/spot/currency_pairs", 1),)

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answers of `currency_pairs` and `contracts`."""
        if self.market_of(url) == _gateio_futures.MARKET and urlsplit(url).path.endswith("/contracts"):
            return _gateio_futures.definitions(answer, received_at)
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/spot/currency_pairs"):
            return ()
        pairs = decode(_LIST, answer)
        return read_definitions(pairs, _PAIR, received_at, lambda pair: instrument_of(pair.id), _define)

    def answered(self, url: str, answer: bytes, received_at: int, _listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`: order books, trades of perpetuals, and what `_gateio_rest` knows."""
        parts = urlsplit(url)
        is_past = _gateio_futures.is_past(url)
        if self.market_of(url) == _gateio_futures.MARKET and (is_past or parts.path.endswith("/order_book")):
            maker = Maker(_gateio_futures.instrument_of(asked_for(url, "contract")), received_at, max_clock_skew)
            if is_past:
                return _gateio_futures.read_past(url, answer, maker)
            return Parsed(FETCHED_BOOK, (_gateio_futures.read_book(answer, maker),))
        if self.market_of(url) is None or "/spot/" not in parts.path:
            return None
        pair = _gateio_rest.pair_of(url)
        if pair is not None:
            return _gateio_rest.read(url, answer, Maker(instrument_of(pair), received_at, max_clock_skew))
        if not parts.path.endswith("/spot/order_book"):
            return None
        asked = asked_for(url, "currency_pair")
        book = decode(_SNAPSHOT, answer)
        bids, asks = levels_of(book.bids, "bids"), levels_of(book.asks, "asks")
        time = None if book.update is None else book.update * 1000
        maker = Maker(instrument_of(asked), received_at, max_clock_skew)
        return Parsed(FETCHED_BOOK, (maker.depth(DepthKind.SNAPSHOT, bids, asks, time, last=book.id),))

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return GateioParser(max_clock_skew)


def _most_pairs(channel: str) -> int:
    return 1 if channel in (*_OF_BOOKS, *_OF_CANDLES) else _PAIRS_PER_MESSAGE


def _is_perpetual(instrument: str) -> bool:
    return instrument.endswith("-PERP")


def _define(instrument: str, pair: _Pair, received_at: int) -> InstrumentDefinition:
    return define(
        instrument,
        pair.id,
        received_at,
        tick=step_of_places(pair.precision, "tick_size"),
        lot=step_of_places(pair.amount_precision, "lot_size"),
        min_notional=pair.min_quote_amount,
        status=pair.trade_status,
        is_trading=pair.trade_status == "tradable",
    )


VENUE = Gateio()
