"""Asks a venue over REST, within its quota and with patience; the only module of ingest that knows the HTTP library.

A venue that answers 429 or 418 is left alone by all feeds of the process for as long as it says in Retry-After. Where it does
not say it is a minute, two after a 418: who goes on after a 429 is banned by Binance for at least two minutes ("IP Limits").
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout

from ingest.clock import Clock
from ingest.quota import Allowances, Quota
from ingest.rest_venue import Request
from ingest.seconds import seconds_of
from market.errors import MarketDataError

_TIMEOUT = ClientTimeout(total=10.0)
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY)
_LEAVE_ALONE = {HTTPStatus.TOO_MANY_REQUESTS: 60.0, HTTPStatus.IM_A_TEAPOT: 120.0}


class Unanswered(MarketDataError):
    """A request had no answer of use; it may be asked again, where the server wants to be left alone after so many seconds."""

    def __init__(self, message: str, left_alone: float = 0.0) -> None:
        super().__init__(message)
        self.left_alone = left_alone


class Refused(Unanswered):
    """A server does not answer such a request, however often it is asked."""


class QuotedVenue(Protocol):
    """Who says how much may be asked."""

    def quota(self, market: str) -> Quota:
        """How much may be asked of a market's servers."""


class RestClient:
    """The REST servers of one venue. `base_url` stands in for its public address, `proxy` None takes the environment's."""

    def __init__(
        self, venue: QuotedVenue, clock: Clock, allowances: Allowances, *, base_url: str | None, proxy: str | None
    ) -> None:
        self._venue = venue
        self._clock = clock
        self._allowances = allowances
        self._base_url = None if base_url is None else base_url.rstrip("/")
        self._proxy = proxy
        self._session: ClientSession | None = None

    async def get(self, request: Request) -> bytes:
        """The answer to a request, once the venue's quota leaves room for it. Raises Unanswered, or Refused as one of these."""
        parts = urlsplit(request.url)
        address = f"{parts.scheme}://{parts.netloc}" if self._base_url is None else self._base_url
        allowance = self._allowances.of(address, self._venue.quota(request.market))
        while wait := allowance.take(request.weight, self._clock.monotonic()):
            await self._clock.sleep(wait)
        if self._session is None:
            self._session = ClientSession(timeout=_TIMEOUT, trust_env=True)
        url = f"{address}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        alone = 0.0
        try:
            async with self._session.get(url, proxy=self._proxy, headers=request.headers) as response:
                status = HTTPStatus(response.status)
                if status in _LEAVE_ALONE:
                    alone = seconds_of(response.headers.get("Retry-After")) or _LEAVE_ALONE[status]
                    allowance.close(self._clock.monotonic() + alone)
                body = await response.read()
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unanswered(f"{parts.path}: {type(error).__name__}: {error}") from error
        if status is not HTTPStatus.OK:
            why = f"{parts.path}: HTTP status {status}: {body[:200].decode(errors='replace')}"
            raise Refused(why) if status in _REFUSALS else Unanswered(why, alone)
        return body

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
