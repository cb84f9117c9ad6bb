"""What venues told long ago, by REST into the topics: trades with `origin=backfill`, closed klines, funding, open interest.

A page is bookmarked when the broker has it, so a backfill that was ended is taken up with the page it was at; what that page
had published already comes a second time, and readers tell it by its id as they do with anything that is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from ingest.bookmarks import Bookmarks, Range
from ingest.clock import Clock
from ingest.feed import Asking, ListeningVenue, Subscription, Venue
from ingest.rest import Refused, RestClient, Unanswered
from ingest.rest_venue import ArchivingVenue, HistoricalVenue, Page, Place
from market.errors import DataValidationError, MarketDataError, SubscriptionError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline
from market.trade import Trade
from runtime.logs import get_logger
from runtime.retry import Backoff
from schemas.records import Record

log = get_logger(__name__)

_ATTEMPTS = 8
ASKING = Backoff(initial_seconds=1.0, maximum_seconds=60.0)


class BackfillFailed(MarketDataError):
    """A page cannot be had; the same command goes on with it."""

    exit_code = 1


@runtime_checkable
class TellingVenue(ListeningVenue, HistoricalVenue, Protocol):
    """A venue with streams and their history."""


class Sink(Protocol):
    """Who takes the records; see `ingest.publisher.Publisher`."""

    def publish(self, record: Record) -> bool:
        """Take one; False when there is no room for it yet."""

    async def room(self) -> None:
        """Wait for room."""

    async def flush(self, timeout: float) -> int:
        """Wait until every delivery has succeeded or failed for good; how many have not."""

    def poll(self) -> None:
        """Raise Undelivered when a delivery has failed for good."""


def check_history(venue: TellingVenue, wanted: Sequence[Range]) -> None:
    """Raise SubscriptionError for a stream whose history the venue does not tell."""
    archives = venue.archives if isinstance(venue, ArchivingVenue) else ()
    of_all = venue.default_channels[0]  # which every instrument of the venue has: an archive has no rules of its own
    venue.check(stream._replace(channel=of_all) if stream.channel in archives else stream for stream, _, _ in wanted)
    for stream, begin, end in wanted:
        if venue.history_request(stream, Place(begin), end) is None:
            raise SubscriptionError(f"{venue.name} does not tell the history of {stream.channel} of {stream.instrument}")


class History(Protocol):
    """Who tells of the past, page by page."""

    async def page(self, stream: Subscription, place: Place, end: int) -> Page:
        """The page of a stream at a place, of what was before `end`; as in `ingest.rest_venue.HistoricalVenue.history_page`.

        Raises Unanswered, or Refused as one of these, where there was no answer, BackfillFailed where it is of no use.
        """


@runtime_checkable
class RetrievingVenue(Venue, Protocol):
    """A feed that has the past told by a library."""

    def check_history(self, subscriptions: Iterable[Subscription]) -> None:
        """Raise SubscriptionError for a stream whose history cannot be asked for."""

    def history(self, asking: Asking, max_clock_skew: int) -> AbstractAsyncContextManager[History]:
        """Who tells it. Raises SubscriptionError where a package is missing."""


class VenueHistory:
    """What a venue's servers tell."""

    def __init__(self, venue: TellingVenue, rest: RestClient, clock: Clock, max_clock_skew: int) -> None:
        self._venue = venue
        self._rest = rest
        self._clock = clock
        self._max_clock_skew = max_clock_skew

    async def page(self, stream: Subscription, place: Place, end: int) -> Page:
        """See `History.page`."""
        request = self._venue.history_request(stream, place, end)
        if request is None:
            raise BackfillFailed(f"{stream.channel} of {stream.instrument}: its history cannot be asked for")
        market = self._venue.route(stream, None).market
        listings = {market: {self._venue.symbol_of(stream.instrument): stream.instrument}}
        answer = await self._rest.get(request)
        try:
            parsed = self._venue.answered(request.url, answer, self._clock.now(), listings, self._max_clock_skew)
            if parsed is None:
                raise BackfillFailed(f"{request.url}: the answer is none that is carried")
            return self._venue.history_page(stream, place, end, parsed)
        except DataValidationError as error:
            raise BackfillFailed(f"{request.url}: the answer cannot be taken in: {error}") from error


class Backfill:
    """The history of streams. `told` hears of each page: the stream, its records, the share that is done."""

    def __init__(
        self,
        history: History,
        clock: Clock,
        sink: Sink,
        bookmarks: Bookmarks,
        *,
        told: Callable[[Subscription, int, float], None],
    ) -> None:
        self._history = history
        self._clock = clock
        self._sink = sink
        self._bookmarks = bookmarks
        self._told = told

    async def run(self, wanted: Sequence[Range]) -> None:
        """Publish these ranges, as far as they are not done yet. Raises BackfillFailed, BookmarkError, Undelivered."""
        for one in wanted:
            stream, begin, end = one
            self._told(stream, 0, self._share(one, self._bookmarks.place(one)))
            while (place := self._bookmarks.place(one)) is not None:
                page = await self._page(stream, place, end)
                records = [record for record in map(_as_history, page.records) if _time_of(record) >= begin]
                await self._publish(records)
                mark = self._bookmarks.finish if page.next is None and page.is_whole else self._bookmarks.put
                mark(one, page.next or _last_place(records, place))
                self._told(stream, len(records), self._share(one, page.next))
                if page.next is None:
                    break

    async def _page(self, stream: Subscription, place: Place, end: int) -> Page:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._history.page(stream, place, end)
            except Refused as error:
                raise BackfillFailed(str(error)) from error
            except Unanswered as error:
                log.warning("no page of history", stream=stream, reason=str(error))
                await self._clock.sleep(ASKING.delay(attempt))
        what = f"{stream.channel} of {stream.instrument}"
        raise BackfillFailed(f"{what}: not answered after {_ATTEMPTS} attempts; the same command goes on from here")

    async def _publish(self, records: Sequence[Record]) -> None:
        for record in records:
            while not self._sink.publish(record):
                await self._sink.room()
        while await self._sink.flush(1.0):
            self._sink.poll()
        self._sink.poll()  # a delivery that has failed leaves the queue as one that has succeeded does

    def _share(self, wanted: Range, place: Place | None) -> float:
        _, begin, end = wanted
        return 1.0 if place is None else min(1.0, (place.time - begin) / max(1, end - begin))


def _as_history(record: Record) -> Record:
    return record._replace(origin="backfill") if isinstance(record, Trade) else record


def _last_place(records: Sequence[Record], place: Place) -> Place:
    """Where a later end goes on behind a last page: at its last record, since what came after it may not have been told yet."""
    return Place(_time_of(records[-1])) if records else place


def _time_of(record: Record) -> int:
    if isinstance(record, Kline):
        return record.open_time
    if isinstance(record, Funding | OpenInterest):
        return record.exchange_time or 0
    return getattr(record, "event_time", 0)
