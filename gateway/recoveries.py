"""Reads for clients that come back what they missed, when memory does not reach so far; for a few at a time.

What was read is told in parts, and not faster than the client takes it: others read while it is slow. The end of it is
compared with memory and joined to the live messages in one step; where the gateway has gone on too far meanwhile, a further
stretch is read.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gateway.channel import Channel
from gateway.clients import Client
from gateway.messages import Arrival, Message
from gateway.past import Past, PastFailed, PastGone, PastTooLong
from gateway.progress import Partition
from gateway.resumption import Already, Missed, Recovering, Recovery, ResetReason, Resumption, is_lasting
from runtime.logs import get_logger

if TYPE_CHECKING:
    from gateway.hub import Hub

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """How much is read, and for whom.

    Readers at a time, subscriptions being read or waiting for their turn in all and of one client, stretches for one of them,
    seconds to wait for a replica's lead.
    """

    readers: int = 4
    waiting: int = 1_000
    waiting_of_client: int = 200
    stretches: int = 20
    ahead_seconds: float = 10.0


_POLL_SECONDS = 0.02


class _Returning(NamedTuple):
    """A subscription that is told what it missed: by a channel of its own, which drops what came twice."""

    client: Client
    recovering: Recovering
    channel: Channel
    already: Already


class Recoveries:
    """The readers. Without a `past` nothing can be read, so those whom memory does not reach begin anew."""

    def __init__(
        self,
        past: Past | None,
        resumption: Resumption,
        hub: Hub,
        limits: RecoveryLimits = RecoveryLimits(),  # immutable
    ) -> None:
        self._past = past
        self._resumption = resumption
        self._hub = hub
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.readers)
        self._tasks: defaultdict[Client, set[asyncio.Task[None]]] = defaultdict(set)
        self._count = 0

    def start(self, client: Client, recovering: Recovering) -> None:
        """Read what was missed of a subscription, in the background."""
        if self._past is None and not self._resumption.is_ahead(recovering.starts):
            self._reset(client, recovering, ResetReason.PAST_GONE)
        elif self._count >= self._limits.waiting or len(self._tasks.get(client, ())) >= self._limits.waiting_of_client:
            self._reset(client, recovering, ResetReason.BUSY)
        else:
            self._count += 1
            task = asyncio.get_running_loop().create_task(self._recover(client, recovering))
            self._tasks[client].add(task)
            task.add_done_callback(lambda done: self._forget(client, done))

    def drop(self, client: Client) -> None:
        """The client has gone."""
        for task in self._tasks.pop(client, ()):
            task.cancel()

    def _forget(self, client: Client, task: asyncio.Task[None]) -> None:
        self._count -= 1
        tasks = self._tasks.get(client)
        if tasks is not None:
            tasks.discard(task)
            if not tasks:
                del self._tasks[client]

    async def _recover(self, client: Client, recovering: Recovering) -> None:
        try:
            missed = await self._missed(client, recovering)
        except PastGone:
            self._reset(client, recovering, ResetReason.PAST_GONE)
        except PastTooLong:
            self._reset(client, recovering, ResetReason.TOO_MUCH)
        except PastFailed as error:
            log.warning("the past could not be read", error=str(error))
            self._reset(client, recovering, ResetReason.FAILED)
        except Exception:  # one client's past must not harm the others
            log.exception("what a client missed could not be told")
            self._reset(client, recovering, ResetReason.FAILED)
        else:
            if missed is not None:
                self._hub.recover(client, recovering, missed)

    async def _missed(self, client: Client, recovering: Recovering) -> Missed | None:
        """The last part of what was missed, once the others were told; None when the client wants it no more."""
        starts = recovering.starts
        if not await self._catch_up(starts):
            return self._resumption.reset(ResetReason.AHEAD, recovering.channel, recovering.grant, self._hub.now())
        already = Already(starts, set())
        returning = _Returning(client, recovering, type(recovering.channel)(self._hub.channel_options), already)
        for _ in range(self._limits.stretches):
            missed = self._resumption.since(recovering.channel, recovering.grant, starts, self._hub.now(), already)
            if missed.recovery is not Recovery.READING:
                return missed
            if self._past is None:
                raise PastGone
            ends = self._resumption.ends(starts)
            for partition, start in starts.items():
                if not await self._read(self._past, returning, partition, start, ends[partition]):
                    return None
            starts = ends
        raise PastTooLong

    async def _catch_up(self, starts: dict[tuple[str, int], int]) -> bool:
        """Wait until this gateway is where the subscriber was with another; False when that takes too long."""
        until = time.monotonic() + self._limits.ahead_seconds
        while self._resumption.is_ahead(starts):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def _read(self, past: Past, returning: _Returning, partition: Partition, start: int, end: int) -> bool:
        """Tell a stretch of a partition; False when it is wanted no more."""
        client, instruments = returning.client, (returning.recovering.grant.room.instrument,)
        while True:
            async with self._turns, aclosing(past.read(partition, start, end, instruments)) as parts:
                async for arrivals in parts:
                    if arrivals and client.outbox.behind:
                        break  # its turn, and its reader, are for others now
                    if not self._tell(returning, arrivals):
                        return False
                else:
                    return True
            while client.outbox.behind:
                await asyncio.sleep(_POLL_SECONDS)
            if not self._tell(returning, arrivals):
                return False
            start = arrivals[-1].source.offset + 1

    def _tell(self, returning: _Returning, arrivals: list[Arrival]) -> bool:
        """Tell what records mean to a subscriber; False when it is wanted no more."""
        messages = _told(returning.channel, returning.recovering, arrivals, self._hub.now())
        returning.already.told.update(message.source for message in messages)
        return self._hub.tell_past(returning.client, returning.recovering, messages)

    def _reset(self, client: Client, recovering: Recovering, reason: ResetReason) -> None:
        missed = self._resumption.reset(reason, recovering.channel, recovering.grant, self._hub.now())
        self._hub.recover(client, recovering, missed)


def _told(channel: Channel, recovering: Recovering, arrivals: list[Arrival], now: int) -> list[Message]:
    """What records tell a subscriber."""
    return [
        channel.render(arrival, now)
        for arrival in arrivals
        if isinstance(arrival.record, channel.records)
        and channel.take(arrival) == recovering.grant.room
        and is_lasting(channel, arrival.record)
    ]
