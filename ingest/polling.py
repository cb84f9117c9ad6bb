"""Asks for the latest of a line's streams, again and again, while the line itself tells nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from ingest.clock import Clock
from ingest.feed import Subscription
from ingest.fetching import Fetcher
from ingest.rest import Unanswered
from ingest.rest_venue import PollableVenue
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)


class Poller:
    """Of one line. `wanted` is set while it is to ask; `streams` gives what the line is to tell by then.

    `answered_at` is when it was answered last about a stream (microseconds).

    `put` takes records, `room` waits until more may be put.
    """

    def __init__(
        self,
        line: str,
        streams: Callable[[], Iterable[Subscription]],
        venue: PollableVenue,
        fetcher: Fetcher,
        clock: Clock,
        *,
        put: Callable[[Iterable[Record]], None],
        room: Callable[[], Awaitable[bool]],
        seconds: float,
    ) -> None:
        self.line = line
        self.wanted = asyncio.Event()
        self.answered_at: dict[Subscription, int] = {}
        self._streams = streams
        self._venue = venue
        self._fetcher = fetcher
        self._clock = clock
        self._put = put
        self._room = room
        self._seconds = seconds

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self.wanted.wait()
            for stream in list(self._streams()):
                await self._room()
                if self.wanted.is_set():
                    await self._ask(stream)
            await self._clock.sleep(self._seconds)

    async def _ask(self, stream: Subscription) -> None:
        request = self._venue.poll_request(stream)
        if request is None:
            return
        try:
            records = await self._fetcher.poll(request, self.line, stream, wanted=self.wanted.is_set)
        except Unanswered as error:
            log.warning("not polled", stream=stream, reason=str(error))
        else:
            self.answered_at[stream] = self._clock.now()
            self._put(records)
