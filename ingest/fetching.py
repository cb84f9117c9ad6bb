"""Asks for what the streams do not tell, and has the session take the answers in."""

from __future__ import annotations

from collections.abc import Callable

from ingest.clock import Clock
from ingest.feed import Listings, Parsed, Recorder, Subscription
from ingest.rest import RestClient
from ingest.rest_venue import AskedVenue, Page, Request
from ingest.session import Session
from market.errors import DataValidationError
from schemas.records import Record

_SOURCE = "REST"


class Fetcher:
    """The requests of one feed; its answers are recorded beside its frames."""

    def __init__(
        self,
        venue: AskedVenue,
        rest: RestClient,
        session: Session,
        clock: Clock,
        *,
        listings: Listings,
        max_clock_skew: int,
        recorder: Recorder | None,
    ) -> None:
        self.venue = venue
        self._rest = rest
        self._session = session
        self._clock = clock
        self._listings = listings
        self._max_clock_skew = max_clock_skew
        self._recorder = recorder

    async def ask(self, request: Request) -> list[Record]:
        """The records to publish that follow from the answer. Raises `ingest.rest.Unanswered`."""
        return await self._asked(request, self._session.answered)

    async def poll(self, request: Request, line: str, stream: Subscription, *, wanted: Callable[[], bool]) -> list[Record]:
        """The same for the latest of a stream, asked for on a line; none where it is not `wanted` any more by the answer.

        Raises `ingest.rest.Unanswered`.
        """
        return await self._asked(
            request, lambda parsed, now: self._session.polled(line, stream, parsed, now) if wanted() else []
        )

    async def ask_page(self, request: Request, read: Callable[[Parsed], Page]) -> tuple[Page | None, list[Record]]:
        """The page that the answer is as it is read, or what is to be published of one that cannot be taken in.

        Raises `ingest.rest.Unanswered`, and DataValidationError where the venue does not tell its past as far back as that.
        """
        answers: list[Parsed] = []

        def keep(parsed: Parsed, _now: int) -> list[Record]:
            answers.append(parsed)
            return []

        refused = await self._asked(request, keep)
        return (read(answers[0]) if answers else None), refused

    async def _asked(self, request: Request, take: Callable[[Parsed, int], list[Record]]) -> list[Record]:
        answer = await self._rest.get(request)
        now = self._clock.now()
        if self._recorder is not None:
            self._recorder.answered(now, request.url, answer)
        try:
            parsed = self.venue.answered(request.url, answer, now, self._listings, self._max_clock_skew)
            return [] if parsed is None else take(parsed, now)
        except DataValidationError as error:
            return [self._session.refuse(_SOURCE, answer, error, now)]

    async def close(self) -> None:
        """Let go of the connections."""
        await self._rest.close()
