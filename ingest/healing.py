"""Fetches the trades that were missed: those which the venue's own numbers show to be missing, where it tells them again.

They are published as they are told, after trades that are newer; readers tell them by their ids and times, and the gap mark
is told healed with the last of them (see `ingest.marks`). What the venue does not tell after several requests stays marked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ingest.clock import Clock
from ingest.fetching import Fetcher
from ingest.marks import Missing
from ingest.mending import ASKING, REQUESTS_IN_VAIN, mend
from ingest.rest import Refused, Unanswered
from ingest.rest_venue import HealingVenue
from ingest.session import Session
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)


class Healing:
    """Watches the gaps of a session."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        venue: HealingVenue,
        fetcher: Fetcher,
        *,
        put: Callable[[Iterable[Record]], None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._venue = venue
        self._fetcher = fetcher
        self._put = put
        self._given_up: set[Missing] = set()

    async def run(self) -> None:
        """Go on until cancelled."""
        await mend(self._clock, self._open, self._heal)

    def _open(self) -> list[tuple[str, Missing]]:
        return [(channel, missing) for channel, missing in self._session.missing() if missing not in self._given_up]

    async def _heal(self, _channel: str, first: Missing) -> None:
        """Ask for what is missing of an instrument, oldest first, until nothing is or the venue does not tell it."""
        in_vain = 0
        while found := [(channel, missing) for channel, missing in self._open() if missing.instrument == first.instrument]:
            channel, missing = found[0]
            request = self._venue.trades_request(channel, missing)
            if request is None:
                self._give_up(missing, "the venue does not tell them again")
                continue
            try:
                self._put(await self._fetcher.ask(request))
            except Refused as error:
                self._give_up(missing, str(error))
                continue
            except Unanswered as error:
                log.warning("missed trades not fetched", missing=missing, reason=str(error))
            else:
                in_vain = 0 if (channel, missing) not in self._session.missing() else in_vain + 1
                if in_vain >= REQUESTS_IN_VAIN:
                    self._give_up(missing, "the venue did not tell them")
                    in_vain = 0
                    continue
                if not in_vain:
                    continue
            await self._clock.sleep(ASKING.delay(in_vain))

    def _give_up(self, missing: Missing, reason: str) -> None:
        log.warning("missed trades stay missing", missing=missing, reason=reason)
        self._given_up.add(missing)
