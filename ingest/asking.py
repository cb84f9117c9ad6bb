"""Asks the HTTP servers of a source of snapshots, each in its turn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Protocol

import msgspec

from ingest.feed import Answered, Asking, Subscription
from ingest.hosts import Hosts
from ingest.quota import Quota
from ingest.rest import RestClient, Unanswered
from ingest.rest_venue import Request
from market.errors import DataValidationError


class PollOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may say under `options` of a feed that is polled over HTTP."""

    poll_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=3600)] = 3.0
    """From one round of questions to the next; Shanghai and Shenzhen make a snapshot every three seconds."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=800)] = 100
    """Instruments asked for in one request."""
    hosts: tuple[str, ...] = ()
    """Addresses of the source in the order of preference; none means those the feed knows."""
    trades: bool = True
    """Whether trades are told, as the differences of the snapshots."""


class SnapshotVenue(Protocol):
    """A source of snapshots of many instruments in one answer."""

    @property
    def hosts(self) -> Sequence[str]:
        """Its public addresses in the order of preference."""

    def quota(self, market: str) -> Quota:
        """How much may be asked of one address."""

    def request(self, host: str, streams: Sequence[Subscription]) -> Request:
        """The request for the latest of streams of one channel."""

    def frames(self, answer: bytes) -> Sequence[bytes]:
        """The parts of an answer, one for each instrument. Raises DataValidationError when it is no answer of the source."""


def poll_options(options: object) -> PollOptions:
    """The options of the settings. Raises ValueError naming a wrong one."""
    return msgspec.convert(options, PollOptions)


class HttpSource:
    """See `ingest.feed.Source`."""

    def __init__(self, venue: SnapshotVenue, options: PollOptions, asking: Asking) -> None:
        self._venue = venue
        self._clock = asking.clock
        self._batch = options.batch
        self._rest = RestClient(venue, asking.clock, asking.allowances, base_url=None, proxy=asking.proxy)
        self._hosts = Hosts([asking.base_url] if asking.base_url else options.hosts or venue.hosts)
        self._last: str | None = None
        self.seconds = options.poll_seconds

    def batches(self, streams: Sequence[Subscription]) -> Sequence[Sequence[Subscription]]:
        """See `ingest.feed.Source.batches`; a request is of one channel."""
        ordered = sorted(streams, key=lambda stream: stream.channel)
        kinds = [list(part) for _, part in groupby(ordered, key=lambda stream: stream.channel)]
        return [kind[first : first + self._batch] for kind in kinds for first in range(0, len(kind), self._batch)]

    async def ask(self, streams: Sequence[Subscription]) -> Answered:
        """See `ingest.feed.Source.ask`: each address is asked once before giving up."""
        failures = []
        for _ in range(len(self._hosts)):
            host = self._hosts.choose(self._clock.monotonic())
            try:
                frames = self._venue.frames(await self._rest.get(self._venue.request(host, streams)))
            except (Unanswered, DataValidationError) as error:
                left_alone = error.left_alone if isinstance(error, Unanswered) else 0.0
                self._hosts.failed(host, self._clock.monotonic(), left_alone)
                failures.append(f"{host}: {error}")
            else:
                self._hosts.answered(host)
                self._last = host
                return Answered(frames, host)
        raise Unanswered("; ".join(failures))

    def distrust(self) -> None:
        """See `ingest.feed.Source.distrust`."""
        if self._last is not None:
            self._hosts.failed(self._last, self._clock.monotonic())

    async def close(self) -> None:
        """See `ingest.feed.Source.close`."""
        await self._rest.close()
