"""What a venue tells by REST beside its streams, and how it is asked: the latest, what was missed, the past, its lists.

Each protocol is one thing that a venue may be asked for; a venue is of those that it serves. None does any I/O: they give the
requests, and read the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from ingest.feed import Listings, Parsed, Subscription, Venue
from ingest.marks import Missing, Stretch
from ingest.quota import Quota
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition
from schemas.records import Record


@runtime_checkable
class AnsweringVenue(Venue, Protocol):
    """A venue that tells by REST, too, what its streams tell."""

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """The records of a REST answer, None when it is none that is carried. Raises DataValidationError as `Parser.parse`."""


class Request(NamedTuple):
    """A REST request (GET) to a market's servers: the venue's public URL, and what it weighs in the quota there.

    `headers` are those that its servers want to see.
    """

    market: str
    url: str
    weight: int
    headers: Mapping[str, str] = {}


@runtime_checkable
class AskedVenue(AnsweringVenue, Protocol):
    """A venue that is asked by REST, as much as it allows; what it is asked for is told by the protocols below."""

    def quota(self, market: str) -> Quota:
        """How much may be asked of a market's servers."""


@runtime_checkable
class FetchingVenue(AskedVenue, Protocol):
    """A venue whose order books must be asked for by REST."""

    def book_request(self, instrument: str) -> Request:
        """The request for the order book of an instrument; `answered` reads its answer."""


@runtime_checkable
class HealingVenue(AskedVenue, Protocol):
    """A venue that tells trades again by their numbers."""

    def trades_request(self, channel: str, missing: Missing) -> Request | None:
        """The request for the first of these trades; None where the venue has none for such a channel."""


@runtime_checkable
class PollableVenue(AskedVenue, Protocol):
    """A venue that tells by REST the latest of what its streams tell, in the same records and by the same numbers."""

    def poll_request(self, subscription: Subscription) -> Request | None:
        """The request for the latest of a stream; None where REST does not tell it as the stream does."""


class RefusedRow(NamedTuple):
    """A row of a list that is not what it claims to be, and why."""

    data: bytes
    error: DataValidationError


Defined = InstrumentDefinition | RefusedRow


@runtime_checkable
class DefiningVenue(Venue, Protocol):
    """A venue whose lists of instruments say how each is traded."""

    def quota(self, market: str) -> Quota:
        """How much may be asked of a market's servers."""

    def definition_requests(self, market: str) -> Sequence[Request]:
        """The requests for the lists of a market."""

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """What such a list says of each instrument of ours; nothing for other answers.

        Raises DataValidationError for an answer that is no list at all.
        """


@runtime_checkable
class PagingVenue(DefiningVenue, Protocol):
    """A venue that tells some of its lists page by page."""

    def next_definition_request(self, asked: Request, answer: bytes) -> Request | None:
        """The request for the page behind the answer to one; None where that is the last.

        Raises DataValidationError for an answer that is no list at all.
        """


class Place(NamedTuple):
    """Where a page of history begins: at a time (microseconds), or with a number of the venue's where it counts by these."""

    time: int
    number: int | None = None


class Page(NamedTuple):
    """A page of history, oldest record first, and where the next one begins; None behind the last one.

    A last one is not whole where something before the end is not over yet: a kline that is still open. Where a venue tells
    newest first, pages go backwards through a stretch of time: their places have one time, and differ by the number.
    """

    records: Sequence[Record]
    next: Place | None
    is_whole: bool = True


@runtime_checkable
class HistoricalVenue(AskedVenue, Protocol):
    """A venue that tells by REST what its streams told long ago, page by page."""

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """The request for the page at a place, of history before `end`; None where the venue has none of such a stream."""

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """The page that the answer to that request is; it is of the stream alone, and nothing in it is `end` or later.

        Raises DataValidationError (`no_history`) where the venue does not tell its past as far back as that.
        """


@runtime_checkable
class ArchivingVenue(HistoricalVenue, Protocol):
    """A venue that tells of the past what none of its streams tells."""

    @property
    def archives(self) -> Sequence[str]:
        """Channels that there is history of, but no stream to subscribe to."""


@runtime_checkable
class RetellingVenue(AskedVenue, Protocol):
    """A venue that tells by REST the trades of the time up to now alone."""

    def retelling_request(self, channel: str, stretch: Stretch, now: int) -> Request | None:
        """The request for the trades since a stretch began; None where it has none of so long ago, or of such a channel."""

    def retold(self, stretch: Stretch, parsed: Parsed) -> Page:
        """The trades of the stretch in its answer, as a last page."""
