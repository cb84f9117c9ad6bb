"""The past as exchanges tell it by CCXT: the funding that was paid, where an exchange has `fetchFundingRateHistory`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from ingest.backfill import BackfillFailed
from ingest.clock import Clock
from ingest.feed import Parser, Subscription
from ingest.rest_venue import Page, Place
from market.errors import DataValidationError
from market.funding import Funding
from market.interval import HOUR

_MOST = 100


class Told(Protocol):
    """Who is asked; see `ingest.ccxt_source.CcxtSource`."""

    async def ask_past(self, stream: Subscription, since: int, most: int) -> bytes:
        """A frame of the funding that was paid since a time (milliseconds), at most so many times.

        Raises Unanswered, and SubscriptionError where asking again is of no use.
        """

    async def close(self) -> None:
        """Let go of the connections."""


class CcxtHistory:
    """See `ingest.backfill.History`. A page is what was paid from a time on; an exchange gives as much of it as it likes."""

    def __init__(self, source: Told, parser: Parser, clock: Clock) -> None:
        self._source = source
        self._parser = parser
        self._clock = clock

    async def page(self, stream: Subscription, place: Place, end: int) -> Page:
        """See `ingest.backfill.History.page`; oldest first, whatever the order in which it was told."""
        frame = await self._source.ask_past(stream, -(-place.time // 1000), _MOST)
        now = self._clock.now()
        try:
            parsed = self._parser.parse(frame, now)
        except DataValidationError as error:
            raise BackfillFailed(f"{stream.instrument}: the answer cannot be taken in: {error}") from error
        told = {one.exchange_time: one for one in parsed.records if isinstance(one, Funding) and one.exchange_time is not None}
        later = [one for at, one in sorted(told.items()) if at >= place.time]
        found = [one for one in later if (one.exchange_time or 0) < end]
        if found and len(found) == len(later):
            return Page(found, Place((found[-1].exchange_time or 0) + 1_000))
        return Page(found, None, is_whole=now >= end + HOUR)  # a payment may be told some time after it was made


@asynccontextmanager
async def told_by(source: Told, parser: Parser, clock: Clock) -> AsyncIterator[CcxtHistory]:
    """The history that a source tells, which is closed behind it."""
    try:
        yield CcxtHistory(source, parser, clock)
    finally:
        await source.close()
