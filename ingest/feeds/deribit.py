"""Deribit, WebSocket API v2 (JSON-RPC): options, futures, perpetuals and spot.

A perpetual is `deribit:BTC-USD-PERP` (BTC-PERPETUAL), a future `deribit:BTC-USD-210924` (BTC-24SEP21), an option
`deribit:BTC-USD-210924-34000-P`; those in USDC are `deribit:SOL-USDC-PERP` (SOL_USDC-PERPETUAL) and so on, spot is
`deribit:BTC-USDC`. Sizes are the venue's: dollars of inverse futures, else the base currency. `direction` is the taker's side
(docs: "trades.{instrument_name}.{interval}"); `trade_seq` numbers the trades of an instrument without holes, their ids are of
the whole venue. Without a key streams are told every 100 ms, with one also `raw`; what is recorded is `raw`.
Klines (`chart.trades.1`) are read as documented; their volume is in the base currency, even where sizes are dollars. So is
the funding rate of perpetuals (`ticker`), which is told for eight hours (`_deribit_frames`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Heartbeat, Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _deribit_lists, _deribit_rest
from ingest.feeds._deribit_frames import BOOK, KLINES, READERS, RESOLUTIONS, TICKER, TRADES
from ingest.feeds._deribit_rest import MARKET, REST
from ingest.feeds._instruments import Instruments, by_symbol, day_of, delivery_of
from ingest.feeds._numbers import ABSENT
from ingest.feeds._records import Maker
from ingest.feeds._refusals import refused, streams_named
from ingest.feeds._subscriptions import Offer, in_parts, stream_request
from ingest.marks import Missing
from ingest.quota import Quota
from ingest.refusals import Requested
from ingest.rest_venue import Defined, Page, Place, Request
from market.book_rules import BookRules, by_previous_if_named
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of

_ADDRESS = "wss://www.deribit.com/ws/api/v2"
_QUOTA = Quota(10, 1.0)  # half of the 20 requests a second that an address without a key has (docs: "Rate Limits")
_LIMITS = Limits(streams=200, message_seconds=0.1)  # 500 channels a subscription (docs: "public/subscribe")
_CHANNELS_PER_MESSAGE = 100
_HEARTBEAT = Heartbeat('{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}', 30.0)
_KINDS = (TRADES, BOOK, TICKER)
_INTERVALS = ("100ms", "agg2", "raw")
_CHANNELS = tuple(f"{kind}.100ms" for kind in _KINDS)
_ALL = frozenset(
    (
        *(f"{kind}.{interval}" for kind in _KINDS for interval in _INTERVALS),
        *(f"{KLINES}{resolution}" for resolution in RESOLUTIONS),
    )
)
_NOT_CARRIED = re.compile(
    r"(chart|quote|incremental_ticker|perpetual|estimated_expiration_price|markprice|deribit_)[\w.\-]*", re.ASCII
)
_PERPETUAL = "PERPETUAL"
_DOLLARS = "USD"
_BOOK_RULES = BookRules(by_previous_if_named)
_OFFER = Offer(
    "deribit",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-PERP|-\d\d(0[1-9]|1[0-2])\d\d(-\d+(\.\d+)?-[CP])?)?", re.ASCII),
    "deribit:BTC-USD-PERP, deribit:BTC-USD-260925 or deribit:BTC-USD-260925-34000-P",
    (*_CHANNELS, f"{KLINES}1"),
    lambda channel: channel in _ALL,
)


class _Params(msgspec.Struct, frozen=True):
    channel: str = ""
    data: msgspec.Raw = ABSENT


class _Error(msgspec.Struct):
    code: int | None = None
    message: str = ""
    data: msgspec.Raw = ABSENT


class _Message(msgspec.Struct):
    """Any frame: of a stream (`method` subscription), or an answer to a request of ours."""

    method: str | None = None
    params: _Params = _Params()
    id: int | str | None = None
    result: msgspec.Raw = ABSENT
    error: _Error | None = None


class _Listing(msgspec.Struct):
    instrument_name: str


class _Listed(msgspec.Struct):
    result: list[_Listing]


_MESSAGE = msgspec.json.Decoder(_Message)
_CONFIRMED = msgspec.json.Decoder(list[str])
_LISTED = msgspec.json.Decoder(_Listed)


class DeribitParser:
    """Reads the frames of one connection.

    See `ingest.feed.BookParser`, `ingest.feed.SequencedParser` and `ingest.refusals.RequestedParser`.
    """

    contiguous: Collection[str] = ()
    is_retold_by_sequence = True
    sequenced: Collection[str] = tuple(f"{TRADES}.{interval}" for interval in _INTERVALS)

    def __init__(self, listings: Listings, max_clock_skew: int) -> None:
        self.requested = Requested()
        self._max_skew = max_clock_skew
        self._instruments = Instruments(listings, MARKET, _instrument_of)

    def book_rules(self, _channel: str) -> BookRules:
        """A snapshot comes in the stream; a change names the one before it (docs: "book.{instrument_name}.{interval}")."""
        return _BOOK_RULES

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        message = decode(_MESSAGE, frame)
        if message.method is None:
            return self._answer(message)
        if message.method == "heartbeat":
            return Parsed("heartbeat", ())
        name = message.params.channel
        if message.method != "subscription" or not name:
            raise DataValidationError("unknown_stream", f"method: {message.method!r:.80} is not known", field="method")
        channel, symbol = _taken_apart(name)
        if channel:
            if not bytes(message.params.data):
                raise DataValidationError("missing_field", "data: the frame does not have it", field="data")
            maker = Maker(self._instruments.of(symbol), received_at, self._max_skew)
            reader = READERS[channel.partition(".")[0]]
            return Parsed(channel, reader(message.params.data, symbol, channel, maker))
        if _NOT_CARRIED.fullmatch(name):
            return Parsed(name.partition(".")[0], ())
        raise DataValidationError("unknown_stream", f"channel: {name!r:.80} is not known", field="channel")

    def _answer(self, message: _Message) -> Parsed:
        """A request is answered by the channels that are subscribed to; those left out are refused (docs: "public/subscribe").

        That it is so of channels that do not exist, and what an error says, was not recorded.
        """
        streams = self.requested.answered(message.id)
        if message.error is not None:
            error = message.error
            return refused((error.code, error.message, bytes(error.data).decode(errors="replace")), streams)
        if not bytes(message.result):
            raise DataValidationError("missing_field", "method: the frame does not have it", field="method")
        if streams:
            named = [_taken_apart(name) for name in decode(_CONFIRMED, message.result)]
            there = [stream for channel, symbol in named for stream in streams_named(channel, self._instruments.of, symbol)]
            left = [stream for stream in streams if stream not in there]
            if left:
                return refused(("it is not among the channels that are confirmed",), left)
        return Parsed("reply", ())

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            return _taken_apart(decode(_MESSAGE, frame).params.channel)[0] or UNKNOWN_CHANNEL
        except DataValidationError:
            return UNKNOWN_CHANNEL


class Deribit:
    """The venue; see `ingest.feed.Venue`."""

    name = "deribit"
    markets = (MARKET,)
    heartbeats = ("reply", "heartbeat")
    default_channels = _CHANNELS
    channels = _OFFER.channels
    limits = _LIMITS
    heartbeat = _HEARTBEAT

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def route(self, _subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        return Route(MARKET, base_url or _ADDRESS)

    def requests(
        self, subscriptions: Sequence[Subscription], request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`."""
        method = "public/subscribe" if subscribe else "public/unsubscribe"
        return [
            stream_request({"jsonrpc": "2.0", "id": id_, "method": method, "params": {"channels": self._names(part)}}, part)
            for id_, part in enumerate(in_parts(subscriptions, _CHANNELS_PER_MESSAGE), request_id)
        ]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`: BTC-PERPETUAL, BTC-24SEP21, BTC-24SEP21-8000-P, SOL_USDC-PERPETUAL."""
        base, quote, *contract = code_of(instrument).split("-")
        if not contract:
            return f"{base}_{quote}"
        underlying = base if quote == _DOLLARS else f"{base}_{quote}"
        if contract == ["PERP"]:
            return f"{underlying}-{_PERPETUAL}"
        return "-".join((underlying, delivery_of(contract[0]), *(part.replace(".", "d") for part in contract[1:])))

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`; www.deribit.com, not its test server."""
        return MARKET if urlsplit(url).hostname in ("www.deribit.com", "streams.deribit.com") else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; the answer of `public/get_instruments`, whose names say all by their form."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/public/get_instruments"):
            return {}
        return by_symbol((listing.instrument_name for listing in decode(_LISTED, answer).result), _instrument_of)

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return _deribit_lists.requests(REST, market)

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answer of `public/get_instruments`."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/public/get_instruments"):
            return ()
        return _deribit_lists.definitions(answer, received_at, _instrument_of)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; what `_deribit_rest` knows."""
        symbol = None if self.market_of(url) is None else _deribit_rest.symbol_of(url)
        if symbol is None:
            return None
        instrument = Instruments(listings, MARKET, _instrument_of).of(symbol)
        return _deribit_rest.read(url, answer, symbol, Maker(instrument, received_at, max_clock_skew))

    def trades_request(self, channel: str, missing: Missing) -> Request | None:
        """See `ingest.rest_venue.HealingVenue.trades_request`; the numbers are those of `trade_seq`."""
        return _deribit_rest.missed(self.symbol_of(missing.instrument), channel, missing)

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`."""
        return _deribit_rest.latest(self.symbol_of(subscription.instrument), subscription.channel)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`."""
        return _deribit_rest.history(self.symbol_of(subscription.instrument), subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _deribit_rest.page(subscription.channel, place, end, parsed)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return DeribitParser(listings, max_clock_skew)

    def _names(self, subscriptions: Iterable[Subscription]) -> list[str]:
        parts = ((instrument, channel.rpartition(".")) for instrument, channel in subscriptions)
        return [f"{kind}.{self.symbol_of(instrument)}.{interval}" for instrument, (kind, _, interval) in parts]


def _taken_apart(name: str) -> tuple[str, str]:
    """Channel and symbol of book.BTC-24SEP21-8000-P.raw; both empty where it is none that is carried."""
    kind = KLINES.rstrip(".") if name.startswith(KLINES) else name.partition(".")[0]
    symbol, _, interval = name[len(kind) + 1 :].rpartition(".")
    channel = f"{kind}.{interval}"
    return (channel, symbol) if channel in _ALL and symbol else ("", "")


def _instrument_of(symbol: str) -> str:
    underlying, *contract = symbol.split("-")
    base, _, quote = underlying.partition("_")
    parts = len(contract)
    if not base or parts not in (0, 1, 3) or (parts == 0 and not quote) or (parts == 3 and contract[2] not in ("C", "P")):
        raise DataValidationError("unknown_symbol", f"{symbol!r:.80} is no instrument such as BTC-24SEP21", field="symbol")
    named = [] if not contract else ["PERP" if contract[0] == _PERPETUAL and parts == 1 else day_of(contract[0])]
    named += [part.replace("d", ".") for part in contract[1:]]
    return check_instrument("-".join((f"deribit:{base}", quote or _DOLLARS, *named)))


VENUE = Deribit()
