"""Follows the commands of `ops.control`: what is wanted of each venue is done to its feeds, and told on md.status.

All commands that are kept are read after a start, so a stop outlives the process. Feeds that stand in for others follow
those, but not while their own venue is stopped. The answer to a stop is the end of each stream with who wanted it; what
cannot be done is refused with its reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from ingest.clock import Clock
from ingest.feed import Subscription
from ingest.live import LiveFeed
from ingest.polled import PolledFeed
from ingest.session import UNSUBSCRIBED
from market.control import ControlAction, ControlCommand, Controls, Wanted, check_control, is_expired
from market.errors import DataValidationError, SubscriptionError
from market.feed_status import FeedState
from runtime.logs import get_logger

log = get_logger(__name__)

_LOOK_SECONDS = 0.5

Read = Callable[[], Sequence[ControlCommand | DataValidationError]]
"""Gives what came since it was called last; it may block for a moment."""

ControllableFeed = LiveFeed | PolledFeed


class Controlling:
    """The feeds of one process that can be controlled."""

    def __init__(self, feeds: Iterable[ControllableFeed], clock: Clock) -> None:
        self._configured = {feed: frozenset(feed.subscriptions()) for feed in feeds}
        self._feeds = [feed for feed in self._configured if not feed.stands_in]
        self._standing_in = [feed for feed in self._configured if feed.stands_in]
        self._clock = clock
        self._controls = Controls()
        self._because: dict[Subscription, str] = {}  # of streams that were unsubscribed
        self._refused: set[tuple[ControllableFeed, Subscription]] = set()

    async def follow(self, read: Read) -> None:
        """Go on until cancelled. Raises what reading raises."""
        while True:
            for found in await asyncio.to_thread(read):
                self.take(found)
            await self.apply()
            await self._clock.sleep(_LOOK_SECONDS)

    def take(self, found: ControlCommand | DataValidationError) -> None:
        """Take in what was read; what is no command is logged."""
        try:
            if isinstance(found, DataValidationError):
                raise found
            command = check_control(found)
        except DataValidationError as error:
            log.error("a command cannot be followed", reason=str(error))
            return
        self._controls.take(command)
        if is_expired(command, self._clock.now()):
            return
        log.warning("command", venue=command.venue, because=command.because, until=command.expires_at)
        self._refused = {one for one in self._refused if one[1] not in command.streams}
        if feed := self._feed_of(command.venue):
            self._answer(feed, command)

    async def apply(self) -> None:
        """Make every feed what is wanted by now."""
        now = self._clock.now()
        for feed in self._feeds:
            wanted = self._controls.wanted(feed.venue, now)
            await self._subscribe(feed, wanted)
            if wanted.is_running:
                feed.start()
            else:
                await feed.stop(wanted.because)
        for feed in self._standing_in:
            wanted = self._controls.wanted(feed.venue, now)
            await self._subscribe(feed, wanted)  # else they would tell of what is not wanted any more
            if wanted.is_running:
                feed.allow()
            else:
                await feed.forbid(wanted.because)

    def _answer(self, feed: ControllableFeed, command: ControlCommand) -> None:
        """Tell of a command what doing it does not tell."""
        streams = [Subscription(*stream) for stream in sorted(command.streams)]
        feeds = [other for other in self._feeds if other.venue == feed.venue]
        if command.action is ControlAction.SUBSCRIBE:
            there = {stream for other in feeds for stream in other.subscriptions()}
            feed.answer([stream for stream in streams if stream not in there], FeedState.CONNECTING, command.because)
            for stream in streams:
                self._because.pop(stream, None)
        elif command.action is ControlAction.UNSUBSCRIBE:
            down = [stream for stream in streams if all(other.session.is_down(stream) for other in feeds)]
            feed.answer(down, FeedState.DOWN, command.because)
            self._because.update(dict.fromkeys(streams, command.because))

    def _feed_of(self, venue: str) -> ControllableFeed | None:
        """The feed that takes what is subscribed to beside the configuration: the first of the venue."""
        return next((feed for feed in self._feeds if feed.venue == venue), None)

    async def _subscribe(self, feed: ControllableFeed, wanted: Wanted) -> None:
        streams = set(self._configured[feed])
        if feed is self._feed_of(feed.venue):
            elsewhere = {stream for other in self._feeds if other is not feed for stream in self._configured[other]}
            streams |= {Subscription(*stream) for stream in wanted.added} - elsewhere
        streams -= {Subscription(*stream) for stream in wanted.removed}
        now = feed.subscriptions()
        for because, gone in groupby(sorted(now - streams, key=self._why_gone), self._why_gone):
            await feed.unsubscribe(gone, because)
        for stream in sorted(streams - now):
            if (feed, stream) in self._refused:
                continue
            try:
                await feed.subscribe([stream])
            except SubscriptionError as error:
                self._refused.add((feed, stream))
                feed.answer([stream], FeedState.DOWN, f"refused: {error}")

    def _why_gone(self, stream: Subscription) -> str:
        return self._because.get(stream, UNSUBSCRIBED)
