"""One replay: what the topics held from a time on, told to one client at its speed, never faster than it reads.

A subscription is prepared before it is answered: the last records before the time of the replay are read, so that its
snapshot is of that time. Time stands still meanwhile, before the first subscription, and while the client is behind: so
nothing is conflated or left out, and what waits is bounded. Everything here runs on the event loop; what blocks, and what
decodes, is done in threads.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from gateway.channel import Channel
from gateway.clients import Client
from gateway.close_codes import CloseCode
from gateway.flusher import Flusher
from gateway.messages import Arrival, encode
from gateway.outcome import Outcome
from gateway.past import PastFailed, PastGone, PastTooLong
from gateway.positions import Positions
from gateway.progress import Partition
from gateway.publisher import Publisher
from gateway.recent import Recent, RecentLimits
from gateway.refusals import ErrorCode, Refusal
from gateway.replay.archive import Archive
from gateway.replay.clock import FOREVER, ReplayClock, ReplayScheduler
from gateway.replay.lanes import LaneLimits, Lanes
from gateway.replay.looking_back import LookingBack, Subject
from gateway.replay.share import Share
from gateway.replay.wish import Wish, write_time
from runtime.logs import get_logger

if TYPE_CHECKING:
    from gateway.hub import Hub

log = get_logger(__name__)

_SLICE = 64
"""Records told at a time: what keeps the event loop no longer than a live batch does."""
_WAITING_REQUESTS = 100
_POLL_SECONDS = 0.1
_LONGEST_SECONDS = 0.25
_BEHIND_SECONDS = 0.02


class EndReason(StrEnum):
    """Why a replay is over."""

    CAUGHT_UP = "caught_up"
    """All that the topics hold of what is subscribed was told."""
    PAST_GONE = "past_gone"
    """Records expired before they were told."""
    FAILED = "failed"
    """The topics could not be read."""


@dataclass(frozen=True, slots=True)
class ReplayParts:
    """What all replays share."""

    archive: Archive
    share: Share
    lanes: LaneLimits = field(default_factory=LaneLimits)


class _Preparing(NamedTuple):
    """A request to subscribe that waits for its past."""

    wanted: list[tuple[Channel, str]]
    answer: Callable[[int], Outcome]


class _OwnFlusher(Flusher):
    """Writes when the replay has told a slice, so that it knows at once whether the client keeps up."""

    def wake(self, age: float | None = None) -> None:
        """Leave it to the replay."""

    def flush(self) -> None:
        """Write what is pending."""
        dirty, self.dirty = self.dirty, []
        for outbox in dirty:
            outbox.flush()


class _OwnPublisher(Publisher):
    """Tells what was prepared only: a channel that has not looked back must take in nothing."""

    prepared: set[Subject]

    def _publish(self, channel: Channel, arrival: Arrival, now: int) -> None:
        if (channel.data_type, arrival.record.instrument) in self.prepared:
            super()._publish(channel, arrival, now)


class Replay:
    """The replay that one client asked for."""

    def __init__(self, wish: Wish, parts: ReplayParts, hub: Hub) -> None:
        self.wish = wish
        self.channels: Mapping[str, Channel] = {
            name: type(channel)(hub.channel_options) for name, channel in hub.channels.items()
        }
        self._hub = hub
        self._looking = LookingBack(parts.archive, parts.share, hub.partitions)
        self._share = parts.share
        self._reading = parts.archive.open()
        self._clock = ReplayClock(wish.time, wish.speed)
        self._scheduler = ReplayScheduler(wish.time)
        self._flusher = _OwnFlusher(self._scheduler)
        self._lanes = Lanes(parts.lanes)
        self.publisher = _OwnPublisher(
            self.channels.values(),
            hub.instruments,
            self._flusher,
            hub.traffic,
            Positions(),
            Recent(RecentLimits(0, 0)),
            frame=hub.frame,
            extend=lambda instrument, now: None,
            cut=hub.cut,
            expire=hub.expire,
        )
        self.publisher.prepared = set()
        self._missing: dict[Subject, int | None] = {}
        self._requests: deque[_Preparing] = deque()
        self._changed = asyncio.Event()
        self._client: Client
        self._task: asyncio.Task[None] | None = None

    @property
    def time(self) -> int:
        """The time of the replay (microseconds)."""
        return self._clock.time(time.monotonic())

    def begin(self, client: Client) -> None:
        """Tell this client; it has connected."""
        self._client = client
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """The client has gone."""
        if self._task is not None:
            self._task.cancel()

    # subscriptions

    def check_prepared(self) -> None:
        """Raise Refusal where as many requests wait as may."""
        if len(self._requests) >= _WAITING_REQUESTS:
            text = f"{_WAITING_REQUESTS} requests wait for their past to be read; name several symbols in one"
            raise Refusal(ErrorCode.TOO_MANY_SUBSCRIPTIONS, text, limit=_WAITING_REQUESTS)

    def prepare(self, wanted: list[tuple[Channel, str]], answer: Callable[[int], Outcome]) -> None:
        """Read the past of what a request is about, and answer it then."""
        self._requests.append(_Preparing(wanted, answer))
        self._changed.set()

    def check_retained(self, channel: Channel, instrument: str) -> None:
        """Raise Refusal for what cannot be told from the time of the replay on."""
        subject = channel.data_type, instrument
        if subject not in self._missing:
            return
        earliest = self._missing[subject]
        if earliest is None:
            raise Refusal(ErrorCode.BROKER_UNAVAILABLE, "the past could not be read", data_type=channel.data_type)
        text = f"{channel.data_type} of {instrument} is kept from {write_time(earliest)} on, not from {write_time(self.time)}"
        raise Refusal(ErrorCode.TIME_NOT_RETAINED, text, data_type=channel.data_type, earliest=earliest)

    # the task

    async def _run(self) -> None:
        try:
            reason = await self._play()
        except PastGone:
            reason = EndReason.PAST_GONE
        except PastFailed as error:
            log.warning("a replay could not be read", error=str(error))
            reason = EndReason.FAILED
        except Exception:  # one client's replay must not harm the others
            log.exception("a replay failed")
            reason = EndReason.FAILED
        finally:
            self._reading.close()
        self._end(reason)

    async def _play(self) -> EndReason:
        while True:
            await self._keep_pace()
            if self._requests:
                self._clock.hold(time.monotonic())
                await self._answer(self._requests.popleft())
            elif not self.publisher.prepared:
                await self._wait(None)
            elif await self._go_on():
                return EndReason.CAUGHT_UP

    async def _keep_pace(self) -> None:
        """Wait while the client is behind."""
        while self._client.outbox.behind:
            self._clock.hold(time.monotonic())
            await asyncio.sleep(_BEHIND_SECONDS)

    async def _wait(self, seconds: float | None) -> None:
        """Wait so long, or until there is a request."""
        self._changed.clear()
        if self._requests:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _go_on(self) -> bool:
        """Read and tell a little; whether everything was told."""
        self._clock.run(time.monotonic())
        until = self._clock.due(time.monotonic())
        lacking = self._lanes.lacking(until)
        if lacking or not self._lanes.is_full:
            await self._read(_POLL_SECONDS if lacking else 0.0, lacking)
        self._clock.keep_to(self._lanes.frontier(), time.monotonic())
        if await self._tell(self._clock.due(time.monotonic())):
            return False
        if self._lanes.is_over:
            await self._read(_POLL_SECONDS, ())
            return self._lanes.is_over and not self._requests
        if not lacking:
            await self._wait(self._seconds_to_next())
        return False

    def _seconds_to_next(self) -> float:
        times = [each for each in (self._lanes.next_time(), self._scheduler.next_time()) if each is not None]
        return min([_LONGEST_SECONDS, *(self._clock.seconds_until(each, time.monotonic()) for each in times)])

    async def _read(self, seconds: float, lacking: Iterable[Partition]) -> None:
        polled = await self._reading.poll(seconds, set(lacking), is_full=self._lanes.is_full)
        if polled.found:
            async with self._share.piece(polled.spent):
                self._lanes.take_in(polled.found)

    async def _tell(self, until: int) -> bool:
        """Tell the next records up to a time; whether there were any."""
        slice_ = self._lanes.take_out(until, _SLICE)
        if not slice_:
            if self.wish.speed is None:  # time passes with what is told
                return False
            self._scheduler.pass_to(min(until, self._lanes.frontier()))
            self._flusher.flush()
            return False
        async with self._share.piece():
            arrivals = await self._reading.decode(slice_)
        while True:
            await self._keep_pace()
            async with self._share.piece():
                if self._client.outbox.behind:
                    continue  # since it waited for its turn
                self._publish(arrivals)
                self._clock.told(slice_[-1].stored_at)
                return True

    def _publish(self, arrivals: Iterable[tuple[int, Arrival]]) -> None:
        now = self._hub.now()
        for stored_at, arrival in arrivals:
            self._scheduler.pass_to(stored_at)
            self.publisher.take((arrival,), now)
        self._flusher.flush()

    def _end(self, reason: EndReason) -> None:
        now, client = self._hub.now(), self._client
        data = {"reason": reason.value, "replay_time": self.time}
        principal = client.session.visitor.principal
        metadata = {}
        if reason is EndReason.CAUGHT_UP and principal is not None:
            metadata["resume"] = self._hub.resumption.token_at(principal.subject, self._lanes.starts())
        self._scheduler.pass_to(FOREVER)  # what `max_rate` held back
        self._flusher.flush()
        self._hub.tell(client, "replay_end", encode("replay_end", now, data, metadata))
        client.outbox.flush()
        client.close(CloseCode.NORMAL if reason is EndReason.CAUGHT_UP else CloseCode.INTERNAL_ERROR)

    # looking back

    async def _answer(self, preparing: _Preparing) -> None:
        """Read the past of a request, and have it answered."""
        new = [each for each in preparing.wanted if (each[0].data_type, each[1]) not in self.publisher.prepared]
        try:
            await self._look_back(new)
        except (PastFailed, PastTooLong) as error:
            log.warning("the past could not be read for a replay", error=str(error))
            self._missing.update({(channel.data_type, instrument): None for channel, instrument in new})
        self._hub.follow(self._client, preparing.answer(self._hub.now()))
        self._missing.clear()

    async def _look_back(self, wanted: list[tuple[Channel, str]]) -> None:
        """Bring the channels to the time of the replay for these instruments. Raises PastFailed, PastTooLong, PastGone."""
        at = self.time
        found = await self._looking.look_back(wanted, at)
        self._missing.update(found.missing)
        named = {(channel.data_type, instrument) for channel, instrument in wanted}
        self.publisher.prepared.update(named - self._missing.keys())
        if found.starts:
            self._lanes.begin(found.starts, at)
            await self._reading.assign(self._lanes.starts(), self._wanted())

    def _wanted(self) -> dict[str, set[bytes]]:
        wanted: defaultdict[str, set[bytes]] = defaultdict(set)
        for data_type, instrument in self.publisher.prepared:
            for topic in self.channels[data_type].topics:
                wanted[topic.name].add(instrument.encode())
        return wanted
