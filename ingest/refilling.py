"""Fetches the trades that were missed where they have no numbers that would show it: all between the two around the gap.

They are asked for as history is, page by page, from the last instant before the gap on. What comes first must have a trade that
the stream told, and what comes last the one it told after the gap: then the ids are the stream's, and nothing is left out.
Otherwise the gap stays marked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from ingest.clock import Clock
from ingest.feed import HistoricalVenue, Page, Place, Subscription
from ingest.fetching import Fetcher
from ingest.healing import ASKING
from ingest.marks import Stretch
from ingest.rest import Unanswered
from ingest.session import Session
from market.errors import DataValidationError
from market.trade import Trade
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)

_LOOK_SECONDS = 0.1
_REQUESTS_IN_VAIN = 6


class Refilling:
    """Watches the stretches of a session, one instrument's at a time oldest first."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        venue: HistoricalVenue,
        fetcher: Fetcher,
        *,
        put: Callable[[Iterable[Record]], None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._venue = venue
        self._fetcher = fetcher
        self._put = put
        self._in_hand: set[str] = set()

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for channel, stretch in self._session.stretches():
                    if stretch.instrument not in self._in_hand:
                        self._in_hand.add(stretch.instrument)
                        tasks.create_task(self._refill(channel, stretch), name=f"trades of {stretch.instrument}")
                await self._clock.sleep(_LOOK_SECONDS)

    async def _refill(self, channel: str, stretch: Stretch) -> None:
        try:
            fault = await self._ask(channel, stretch)
            if fault is not None:
                log.warning("missed trades stay missing", missing=stretch, reason=fault)
            self._put(self._session.closed(stretch, healed=fault is None))
        finally:
            self._in_hand.discard(stretch.instrument)

    async def _ask(self, channel: str, stretch: Stretch) -> str | None:
        """Ask until all of the stretch was told; why that cannot be, otherwise."""
        stream, end = Subscription(stretch.instrument, channel), stretch.end + 1
        place, is_known, in_vain, unanswered = Place(stretch.begin), False, 0, 0
        while in_vain < _REQUESTS_IN_VAIN:
            request = self._venue.history_request(stream, place, end)
            if request is None:
                return "the venue does not tell them again"
            try:
                page, refused = await self._fetcher.ask_page(self._venue, request, stream, place, end)
            except Unanswered as error:
                log.warning("missed trades not fetched", missing=stretch, reason=str(error))
                await self._clock.sleep(ASKING.delay(unanswered))
                unanswered += 1
                continue
            except DataValidationError as error:
                return str(error)
            self._put(refused)
            ids = _ids(page)
            is_known = is_known or not ids.isdisjoint(stretch.before)
            if ids and not is_known:
                return "the venue tells them under other ids"
            taken = None if page is None else self._session.refilled(channel, stretch, page.records)
            if page is not None and taken is not None:
                self._put(taken)
                if stretch.after in ids:
                    return None
                if page.next is not None:
                    place = page.next
                    continue
            in_vain += 1  # it may tell by REST later than by its streams
            await self._clock.sleep(ASKING.delay(in_vain))
        return "the venue did not tell them"


def _ids(page: Page | None) -> set[str]:
    return set() if page is None else {record.trade_id for record in page.records if isinstance(record, Trade)}
