"""What a feed is to the rest of the program, and what a venue is to a feed.

A `Feed` is one configured source of records: it connects, subscribes, and is iterated. A `Venue` knows how one exchange
speaks and does no I/O: addresses, messages to send, and a parser from frames to records; what it tells by REST is in
`ingest.rest_venue`. A venue is one file in `ingest.feeds`, with the object in a module attribute `VENUE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol, Self, runtime_checkable

from ingest.clock import Clock
from ingest.counting import SwiftCounter
from ingest.quota import Allowances
from ingest.recorded import Item
from market.book_rules import BookRules
from market.errors import DataValidationError
from market.feed_status import FeedState
from schemas.records import Record


class Subscription(NamedTuple):
    """One channel (the venue's own word, such as bookTicker) of one instrument."""

    instrument: str
    channel: str


class ConnectionStatus(StrEnum):
    """State of a feed as a whole; of several connections the worst one counts. STOPPED is one that is idle on purpose."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    SUBSCRIBED = "SUBSCRIBED"
    STALE = "STALE"
    RECONNECTING = "RECONNECTING"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


UNKNOWN_KIND = "unknown_stream"
"""Reason of the refusal of a frame whose kind the venue's parser does not know; the error says what the frame calls itself."""

_MOST_KINDS = 100
_OTHER_KINDS = "others"


@dataclass(slots=True)
class Counts:
    """What a feed has seen so far.

    Frames `received` and, of those, `ignored` are by name of channel or kind, `rejected` ones by reason; of these, those of an
    `unknown` kind by what names it. `backfilled` are the trades that had been missed and were asked for.
    """

    frames: int = 0
    received: Counter[str] = field(default_factory=SwiftCounter)
    ignored: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    records: Counter[type[Record]] = field(default_factory=SwiftCounter)
    reconnects: int = 0
    backfilled: int = 0

    def refused(self, error: DataValidationError) -> None:
        """A frame was refused."""
        self.rejected[error.reason] += 1
        if error.reason == UNKNOWN_KIND:
            name = str(error)
            self.unknown[name if name in self.unknown or len(self.unknown) < _MOST_KINDS else _OTHER_KINDS] += 1


class Feed(Protocol):
    """A source of records.

    `async with feed` connects and disconnects. Iterating yields trades, quotes, klines, marks, states and dead letters in
    the order in which they are to be published, and ends when the feed is disconnected or has no more (a replay). It raises
    WebSocketError when the feed cannot work at all.
    """

    @property
    def name(self) -> str:
        """The name under which it is configured."""

    @property
    def venue(self) -> str:
        """The venue part of its instrument ids."""

    @property
    def counts(self) -> Counts:
        """What it has seen so far."""

    async def connect(self) -> None:
        """Begin, once; lost connections are opened again until `disconnect`."""

    async def disconnect(self) -> None:
        """End for good; what was received before is still iterated."""

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Ask for more. Raises SubscriptionError for what the venue does not have."""

    async def unsubscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Ask no longer for these; unknown ones are ignored."""

    def get_status(self) -> ConnectionStatus:
        """The state of the connection."""

    def get_subscribed_tickers(self) -> frozenset[str]:
        """Instruments with at least one subscription."""

    def __aiter__(self) -> AsyncIterator[Record]:
        """Iterate the records; one iterator at a time."""

    def batches(self) -> AsyncIterator[Sequence[Record]]:
        """Iterate them as they come, several at a time."""

    async def __aenter__(self) -> Self:
        """Connect."""

    async def __aexit__(self, *exc_info: object) -> None:
        """Disconnect."""


class Told(NamedTuple):
    """What a frame says of the stream of an instrument: that it is suspended, not known, or that trades were missed (GAP)."""

    instrument: str
    state: FeedState
    reason: str


class Parsed(NamedTuple):
    """What a frame is: the name of its channel or kind, its records, what it tells of streams, and what was wrong in it.

    A frame of a known kind that we do not carry has no records and is counted as ignored under its name. A fault is of a
    part of the frame, without which the records are as told; the frame goes to the dead letters as well.
    """

    name: str
    records: Sequence[Record]
    told: Sequence[Told] = ()
    faults: Sequence[DataValidationError] = ()


Lone = tuple[str, Record]
"""A frame that has one record and nothing else to tell, as most have: the name of its channel, and the record.

To make a `Parsed` of each, and to look into it, takes plain Python a thirtieth of all the time that a frame takes.
"""


UNKNOWN_CHANNEL = "unknown"
"""Of a frame that does not show its channel."""


FETCHED_BOOK = "depth snapshot"
"""Of an order book that was asked for beside the streams."""


class Parser(Protocol):
    """Reads the frames of one line. Pure: the same frames and times in the same order give the same results."""

    @property
    def contiguous(self) -> Collection[str]:
        """Trade channels whose trade ids have no holes, so that a hole means lost trades."""

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """Read one frame. Raises DataValidationError when it is not what it claims to be; nothing of it is carried then."""

    def channel_of(self, frame: bytes) -> str:
        """Channel of a frame that `parse` refused, as far as it can be read, else UNKNOWN_CHANNEL."""


@runtime_checkable
class LoneParser(Parser, Protocol):
    """A parser that tells of most frames without making a `Parsed`."""

    def parse_lone(self, frame: bytes, received_at: int) -> Parsed | Lone:
        """Read one frame as `parse` does, with the same outcome."""


@runtime_checkable
class SequencedParser(Parser, Protocol):
    """A parser of a venue that numbers an instrument's trades apart from their ids."""

    @property
    def sequenced(self) -> Collection[str]:
        """Trade channels whose sequences have no holes, so that a hole means lost trades; none of them is `contiguous`."""

    @property
    def is_retold_by_sequence(self) -> bool:
        """Whether REST tells trades by these sequences, too; otherwise they are known by their ids there."""


@runtime_checkable
class UnsubscribingParser(Parser, Protocol):
    """A parser of a venue that is told which streams to end by what it called them in a connection."""

    def unsubscriptions(self, subscriptions: Iterable[Subscription]) -> list[str]:
        """Frames to send on the connection that was read last; the venue's `requests` has none then."""


class Recorder(Protocol):
    """Who keeps what came in; see `ingest.capture.Capture`."""

    def opened(self, at: int, line: str, url: str, market: str) -> None:
        """A connection was opened."""

    def frame(self, at: int, line: str, data: bytes) -> None:
        """A frame was received."""

    def closed(self, at: int, line: str, reason: str) -> None:
        """A connection was lost."""

    def answered(self, at: int, url: str, body: bytes) -> None:
        """A REST request was answered."""


@runtime_checkable
class BookParser(Parser, Protocol):
    """A parser whose frames tell of order books."""

    def book_rules(self, channel: str) -> BookRules:
        """How the books that this channel tells of are kept."""


Listings = Mapping[str, Mapping[str, str]]
"""Instrument by the venue's symbol, for each market of the venue."""


class Route(NamedTuple):
    """Where a subscription is served: a market of the venue and the address to connect to."""

    market: str
    url: str


class Venue(Protocol):
    """How one exchange speaks: what is needed to read its frames, live or recorded."""

    @property
    def name(self) -> str:
        """The venue part of its instrument ids."""

    @property
    def markets(self) -> Collection[str]:
        """Its markets: parts in which one symbol may mean different instruments."""

    @property
    def default_channels(self) -> Sequence[str]:
        """The channels to subscribe to where the settings name none."""

    @property
    def heartbeats(self) -> Collection[str]:
        """Names of parsed frames that do not show that market data flows."""

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """Raise SubscriptionError for what this venue cannot serve, alone or together."""

    def market_of(self, url: str) -> str | None:
        """Market of a recorded connection or REST address, None when it is not this venue's."""

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """Instrument by venue symbol, from a REST answer that lists instruments; empty for other answers."""

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """A parser of one line.

        A symbol that the listings lack is told from its form where that is unambiguous. Where the market is None the first
        frame that shows it decides. `max_clock_skew` is how far, in microseconds, an exchange time may be ahead.
        """


class Limits(NamedTuple):
    """What a venue asks of a connection.

    How many subscriptions it carries at most, seconds from message to message, and after how many seconds the venue cuts it,
    None where no such time is told.
    """

    streams: int
    message_seconds: float
    life_seconds: float | None = None


class StreamRequest(NamedTuple):
    """A frame to send; where a refusal would not name the stream, with those that it subscribes to or unsubscribes from."""

    message: str
    streams: Sequence[Subscription] = ()


class Heartbeat(NamedTuple):
    """A message that a venue wants to be sent every so many seconds, beside the WebSocket's own pings."""

    message: str
    seconds: float


@runtime_checkable
class ListeningVenue(Venue, Protocol):
    """A venue with a WebSocket server to listen to."""

    @property
    def limits(self) -> Limits:
        """What the venue asks of a connection."""

    @property
    def heartbeat(self) -> Heartbeat | None:
        """The heartbeat that the venue asks for, None where the WebSocket's own is enough."""

    def route(self, subscription: Subscription, base_url: str | None) -> Route:
        """Where a subscription is served; `base_url` stands in for the venue's public address."""

    def requests(
        self, subscriptions: Sequence[Subscription], request_id: int, at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """What to send at a time to subscribe, or to unsubscribe; ids, where the venue has them, count up from `request_id`."""

    def symbol_of(self, instrument: str) -> str:
        """The venue's own word for an instrument."""


@runtime_checkable
class OfferingVenue(Venue, Protocol):
    """A venue that says which channels it has beside the default ones."""

    @property
    def channels(self) -> Sequence[str]:
        """Its channels, one of each kind."""


class Answered(NamedTuple):
    """What a source answered: frames for the parser, and the address that they came from."""

    frames: Sequence[bytes]
    address: str


class Source(Protocol):
    """Who is asked for the latest of streams: the servers of a venue, or a library that asks them."""

    @property
    def seconds(self) -> float:
        """From one round of questions to the next."""

    def batches(self, streams: Sequence[Subscription]) -> Sequence[Sequence[Subscription]]:
        """Streams that are asked for together."""

    async def ask(self, streams: Sequence[Subscription]) -> Answered:
        """The latest of the streams of a batch, as far as the source has them.

        Raises `ingest.rest.Unanswered` when there was no answer of use, SubscriptionError when there can be none.
        """

    def distrust(self) -> None:
        """What the address told that answered last does not change any more: ask another one, if there is one."""

    async def close(self) -> None:
        """Let go of the connections."""


class Asking(NamedTuple):
    """What a source is to be asked with: `base_url` stands in for its public address, `proxy` None takes the environment's."""

    clock: Clock
    allowances: Allowances
    base_url: str | None = None
    proxy: str | None = None


@runtime_checkable
class PolledVenue(Venue, Protocol):
    """A venue, or a source of the prices of several, that has no streams here: it is asked again and again."""

    def configured(self, options: Mapping[str, object]) -> PolledVenue:
        """The venue as the settings' options want it. Raises ValueError naming a wrong one."""

    def source(self, asking: Asking) -> Source:
        """Who is asked. Raises SubscriptionError where a package is missing."""

    def instrument_of(self, frame: bytes) -> str | None:
        """The instrument that a frame is of; None where it does not show it."""

    def traded(self, subscriptions: Iterable[Subscription]) -> frozenset[str]:
        """Instruments of whose trades these subscriptions tell."""


@runtime_checkable
class GeneratingVenue(Venue, Protocol):
    """A venue that makes its frames up instead of listening to a server."""

    def generate(self, subscriptions: Iterable[Subscription], options: Mapping[str, object]) -> Iterator[Item]:
        """A recording without end; the same arguments give the same one.

        Raises SubscriptionError for a wrong subscription, ValueError naming a wrong option.
        """
