"""OKX, WebSocket API v5: spot, perpetual swaps and futures.

Spot is `okx:BTC-USDT`, a swap `okx:BTC-USDT-PERP`, a future `okx:BTC-USD-220527`. Sizes of swaps and futures are contracts, as
the venue has them. `side` is the taker's. Of candles of six hours and more only those of UTC days are carried; the venue's
others begin at 16:00 UTC. Candles are served at another address than the rest. `funding-rate`, `open-interest`, `mark-price`
and `index-tickers`, and the answers by REST, are read as documented; of them none was recorded.

An index is of a pair, and several contracts may be of it. Subscribed to by its contracts, it has connections of its own, which
know these; a recording that does not name them is read as of the perpetual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Heartbeat, Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _okx_rest
from ingest.feeds._arg_frames import Arg, ArgParser, op_requests
from ingest.feeds._definitions import define, read_definitions, time_or_none
from ingest.feeds._instruments import by_symbol
from ingest.feeds._interleaved import LEVELS, checksum
from ingest.feeds._okx_frames import (
    FUNDING,
    INDEX,
    INTERVALS,
    MARK,
    OPEN_INTEREST,
    READERS,
    index_of,
    indices,
    instrument_of_symbol,
    perpetual_of,
)
from ingest.feeds._okx_rest import MARKET, REST
from ingest.feeds._subscriptions import Offer
from ingest.marks import Missing
from ingest.quota import Quota
from ingest.rest_venue import Defined, Page, Place, Request
from market.book_rules import BookRules, by_previous_if_named
from market.decimals import ONE, parse_positive
from market.errors import DataValidationError, SubscriptionError
from market.instrument import code_of
from market.instrument_definition import InstrumentDefinition

_ADDRESS = "wss://ws.okx.com:8443"
# Half of the 20 requests in two seconds that an address has for instruments, old trades and old candles, counted together
# (docs: "Get instruments", "Get trades history", "Get candlesticks history").
_QUOTA = Quota(10, 2.0)
_TYPES = ("SPOT", "SWAP", "FUTURES")
# A connection takes 480 requests an hour, each of at most 64 KB (docs: "WebSocket", "Connect", "Subscribe").
_LIMITS = Limits(streams=200, message_seconds=0.4)
_STREAMS_PER_MESSAGE = 100
# Who hears nothing for 30 s is cut off; the text ping is answered by the text pong (docs: "WebSocket", "Connect").
_HEARTBEAT = Heartbeat("ping", 20.0)
_CHANNELS = ("trades", "books", "tickers", "candle1m")
_OF_CONTRACTS = (FUNDING, OPEN_INTEREST, MARK, INDEX)
_INDICES = "index"
"""Market of the connections that tell of indices, and nothing else."""
_NOT_CARRIED = re.compile(r"(books5|bbo-tbt|books50?-l2-tbt|trades-all|candle\w+|[a-z-]+)", re.ASCII)
_NAMED = re.compile(r"channel:([\w-]+),\s*instId:([\w-]+) doesn't exist", re.ASCII)
"""A stream that is refused, in the venue's words (code 60018)."""
_BOOK_RULES = BookRules(by_previous_if_named, checksum=checksum, checked_levels=LEVELS)
_OFFER = Offer(
    "okx",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-PERP|-\d{6})?", re.ASCII),
    "okx:BTC-USDT, okx:BTC-USDT-PERP or okx:BTC-USD-260925",
    (*_CHANNELS, *_OF_CONTRACTS),
    lambda channel: channel in (*_CHANNELS, *_OF_CONTRACTS) or channel in INTERVALS,
)


class _Listing(msgspec.Struct, rename="camel"):
    inst_id: str


class _Listed(msgspec.Struct):
    data: list[_Listing]


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
    markets = (MARKET, _INDICES)
    heartbeats = ("reply", "pong")
    default_channels = _CHANNELS
    channels = _OFFER.channels
    archives = tuple(_okx_rest.ARCHIVES)
    limits = _LIMITS
    heartbeat = _HEARTBEAT

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`; perpetuals alone have funding, pairs no open interest, mark price and index here."""
        wanted = list(subscriptions)
        _OFFER.check(wanted)
        for instrument, channel in wanted:
            if channel == FUNDING and not instrument.endswith("-PERP"):
                raise SubscriptionError(f"{channel} tells the funding of perpetuals, and {instrument} is none")
            if channel in (OPEN_INTEREST, MARK, INDEX) and code_of(instrument).count("-") == 1:
                raise SubscriptionError(f"{channel} tells of contracts, and {instrument} is none")

    def route(self, subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`; candles are of the business service (docs: "Candlesticks channel")."""
        service = "business" if subscription.channel in INTERVALS else "public"
        market = _INDICES if subscription.channel == INDEX else MARKET
        return Route(market, f"{(base_url or _ADDRESS).rstrip('/')}/ws/v5/{service}")

    def requests(
        self, subscriptions: Sequence[Subscription], _request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`; no index is unsubscribed from, since other contracts may be of it."""
        wanted = [stream for stream in subscriptions if subscribe or stream.channel != INDEX]
        named = dict.fromkeys((channel, self._symbol_in(instrument, channel)) for instrument, channel in wanted)
        args = [{"channel": channel, "instId": symbol} for channel, symbol in named]
        return op_requests(args, _STREAMS_PER_MESSAGE, subscribe=subscribe)

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`."""
        code = code_of(instrument)
        return f"{code.removesuffix('PERP')}SWAP" if code.endswith("-PERP") else code

    def _symbol_in(self, instrument: str, channel: str) -> str:
        return index_of(instrument) if channel == INDEX else self.symbol_of(instrument)

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`."""
        host = urlsplit(url).hostname or ""
        return MARKET if host.endswith(("okx.com", "okex.com")) else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; symbols say all by their form, so what is listed is only checked."""
        if not urlsplit(url).path.endswith("/public/instruments"):
            return {}
        return by_symbol((listing.inst_id for listing in decode(_LISTED, answer).data), instrument_of_symbol)

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return (
            [] if market == _INDICES else [Request(market, f"{REST}/public/instruments?instType={kind}", 1) for kind in _TYPES]
        )

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/public/instruments"):
            return ()
        rows = decode(_LIST, answer).data
        return read_definitions(rows, _ROW, received_at, lambda row: instrument_of_symbol(row.inst_id), _define)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, _listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; what `_okx_rest` knows."""
        return None if self.market_of(url) is None else _okx_rest.read(url, answer, received_at, max_clock_skew)

    def trades_request(self, channel: str, missing: Missing) -> Request | None:
        """See `ingest.rest_venue.HealingVenue.trades_request`."""
        return _okx_rest.missed(self.symbol_of(missing.instrument), missing)

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`."""
        return _okx_rest.latest(self.symbol_of(subscription.instrument), subscription.channel)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`."""
        return _okx_rest.history(self.symbol_of(subscription.instrument), subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _okx_rest.page(subscription.channel, place, end, parsed)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""

        def contracts(index: str) -> Iterable[str]:
            known = listings.get(_INDICES, {}).values()
            return [contract for contract in known if index_of(contract) == index] or (perpetual_of(index),)

        return OkxParser(
            max_clock_skew,
            {**READERS, INDEX: indices(contracts)},
            lambda arg: instrument_of_symbol(arg.inst_id),
            candle_channels=INTERVALS,
            not_carried=_NOT_CARRIED,
            contiguous=("trades",),
            refused_arg=_refused_arg,
        )


def _refused_arg(said: str) -> Arg | None:
    """The stream that a refusal names; of an index there may be several, so none."""
    match = _NAMED.search(said)
    return Arg(match[1], match[2]) if match is not None and match[1] != INDEX else None


def _define(instrument: str, row: _Row, received_at: int) -> InstrumentDefinition:
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


VENUE = Okx()
