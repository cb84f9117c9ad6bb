"""Fetches the trades that were missed where they have no numbers by which the venue tells them again: all around a gap.

They are asked for as history is, page by page, from the last instant before the gap on, or as the latest trades up to now
(`ingest.rest_venue.RetellingVenue`). The pages must have a trade of that instant that the stream told, and the one that it told
after the gap: then the ids are the stream's, and nothing is left out. Otherwise the gap stays marked. Pages of one stretch of
time may come newest first, so those before the first known trade are held back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ingest.clock import Clock
from ingest.feed import Parsed, Subscription
from ingest.fetching import Fetcher
from ingest.marks import Stretch
from ingest.mending import ASKING, REQUESTS_IN_VAIN, mend
from ingest.rest import Refused, Unanswered
from ingest.rest_venue import HistoricalVenue, Page, Place, Request, RetellingVenue
from ingest.session import Session
from market.errors import DataValidationError
from market.trade import Trade
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)


class Refilling:
    """Watches the stretches of a session."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        venue: HistoricalVenue | RetellingVenue,
        fetcher: Fetcher,
        *,
        put: Callable[[Iterable[Record]], None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._venue = venue
        self._fetcher = fetcher
        self._put = put

    async def run(self) -> None:
        """Go on until cancelled."""
        await mend(self._clock, self._session.stretches, self._refill)

    async def _refill(self, channel: str, stretch: Stretch) -> None:
        fault = await self._ask(channel, stretch)
        if fault is not None:
            log.warning("missed trades stay missing", missing=stretch, reason=fault)
        self._put(self._session.closed(stretch, healed=fault is None))

    async def _ask(self, channel: str, stretch: Stretch) -> str | None:
        """Ask until all of the stretch was told; why that cannot be, otherwise."""
        beginning = Place(stretch.begin)
        place, held, ids, in_vain, unanswered = beginning, list[Record](), set[str](), 0, 0
        while in_vain < REQUESTS_IN_VAIN:
            request, read = self._request(channel, stretch, place)
            if request is None:
                return "the venue does not tell them again"
            try:
                page, refused = await self._fetcher.ask_page(request, read)
            except Refused as error:
                return str(error)
            except Unanswered as error:
                log.warning("missed trades not fetched", missing=stretch, reason=str(error))
                await self._clock.sleep(ASKING.delay(unanswered))
                unanswered += 1
                continue
            except DataValidationError as error:
                return str(error)
            self._put(refused)
            if page is not None:
                held += page.records
                ids |= {record.trade_id for record in page.records if isinstance(record, Trade)}
                is_known = not ids.isdisjoint(stretch.before)
                is_begun = page.next is not None and page.next.time == stretch.begin
                if ids and not is_known and not is_begun:
                    return "the venue tells them under other ids"
                taken = self._session.refilled(channel, stretch, held) if is_known else []
                if taken is not None:
                    self._put(taken)
                    held = [] if is_known else held
                    if page.next is not None:
                        place = page.next
                        continue
                    if stretch.after in ids:
                        return None
                    place = beginning
            in_vain += 1  # it may tell by REST later than by its streams
            await self._clock.sleep(ASKING.delay(in_vain))
        return "the venue did not tell them"

    def _request(self, channel: str, stretch: Stretch, place: Place) -> tuple[Request | None, Callable[[Parsed], Page]]:
        """The request for what is at a place, and what reads its answer."""
        if isinstance(self._venue, RetellingVenue):
            request = self._venue.retelling_request(channel, stretch, self._clock.now())
            return request, partial(self._venue.retold, stretch)
        stream, end = Subscription(stretch.instrument, channel), stretch.end + 1
        return self._venue.history_request(stream, place, end), partial(self._venue.history_page, stream, place, end)
