"""Asks a venue for its lists of instruments, when a feed begins and once in a while, and tells what is new in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from ingest.clock import Clock
from ingest.feed import Recorder
from ingest.rest import RestClient, Unanswered
from ingest.rest_venue import DefiningVenue, PagingVenue, Request
from ingest.session import LISTS, Session
from market.errors import DataValidationError
from runtime.logs import get_logger
from runtime.retry import Backoff
from schemas.records import Record

log = get_logger(__name__)

ASKING = Backoff(initial_seconds=5.0, maximum_seconds=300.0)


class Defining:
    """Of the markets of a feed, each asked for every so many `seconds`.

    `put` takes records, `room` waits until more may be put. A list that told something new is recorded.
    """

    def __init__(
        self,
        session: Session,
        clock: Clock,
        venue: DefiningVenue,
        rest: RestClient,
        *,
        markets: Callable[[], Iterable[str]],
        put: Callable[[Iterable[Record]], None],
        room: Callable[[], Awaitable[bool]],
        recorder: Recorder | None,
        seconds: float,
    ) -> None:
        self._session = session
        self._clock = clock
        self._venue = venue
        self._rest = rest
        self._markets = markets
        self._put = put
        self._room = room
        self._recorder = recorder
        self._seconds = seconds

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            for market in sorted(set(self._markets())):
                for request in self._venue.definition_requests(market):
                    page: Request | None = request
                    while page is not None:
                        page = await self._ask(page)
            await self._clock.sleep(self._seconds)

    async def _ask(self, request: Request) -> Request | None:
        """Tell what is new in a list, or in a page of one. The request for the next page."""
        failures = 0
        while True:
            try:
                answer = await self._rest.get(request)
                break
            except Unanswered as error:
                log.warning("list of instruments not fetched", url=request.url, reason=str(error))
                await self._clock.sleep(ASKING.delay(failures))
                failures += 1
        now = self._clock.now()
        following = None
        try:  # a list of thousands takes a while to read, and frames go on coming
            found = await asyncio.to_thread(lambda: list(self._venue.definitions(request.url, answer, now)))
            if isinstance(self._venue, PagingVenue):
                following = self._venue.next_definition_request(request, answer)
        except DataValidationError as error:
            told: list[Record] = [self._session.refuse(LISTS, answer, error, now)]
        else:
            told = self._session.defined(found, now)
        if told and self._recorder is not None:
            self._recorder.answered(now, request.url, answer)
        await self._room()
        self._put(told)
        return following

    async def close(self) -> None:
        """Let go of the connections."""
        await self._rest.close()
