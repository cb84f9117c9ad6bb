"""What a returning subscriber missed: from memory, still to be read from the topic, or a fresh start. Without I/O.

A subscriber shows a token, which says where it stood, and may say what it had since. Of data of which every record counts
it hears each one after that; of the rest the latest value, if that changed. What cannot be told without a hole begins
anew, and is said to (`reset`): a snapshot comes as for a new subscriber.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.channel import Channel, Grant
from gateway.messages import Message, Room, Source
from gateway.positions import Place, Positions
from gateway.progress import Partition
from gateway.recent import Recent
from gateway.requests import Seen
from gateway.resume_tokens import ResumeTokens
from gateway.views import View
from schemas.partitioning import partition_of


class Recovery(StrEnum):
    """How a subscription goes on: as if it had never been cut, so once the past was read, or with a new snapshot."""

    RESUMED = "resumed"
    READING = "reading"
    RESET = "reset"


class ResetReason(StrEnum):
    """Why a subscription begins anew."""

    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105  # no secret
    """The token is none of this gateway, or another subject's."""
    TOPIC_CHANGED = "topic_changed"
    """The topic was made anew since, or is not in the token."""
    PAST_GONE = "past_gone"
    """What was missed has expired."""
    TOO_MUCH = "too_much"
    """More was missed than one client may have read for it."""
    BUSY = "busy"
    """Too many others are reading the past."""
    AHEAD = "ahead"
    """The token is of a replica that this one did not catch up with in time."""
    PACED = "paced"
    """With `max_rate` some is held back, so a token does not say what was told."""
    FAILED = "failed"
    """The past could not be read."""


@dataclass(slots=True)
class Missed:
    """The outcome for one subscription, with the messages to begin with; when READING, from where on to read."""

    recovery: Recovery
    reason: ResetReason | None = None
    messages: list[Message] = field(default_factory=list)
    starts: dict[Partition, int] = field(default_factory=dict)

    def describe(self) -> dict[str, str]:
        """The outcome as clients are told."""
        reason = {} if self.reason is None else {"reason": self.reason.value}
        return {"recovery": self.recovery.value, **reason}


@dataclass(frozen=True, slots=True)
class Recovering:
    """A subscription that is granted, and begins once what was missed of it was read from these offsets on."""

    channel: Channel
    grant: Grant
    view: View | None
    starts: dict[Partition, int]

    @property
    def room(self) -> Room:
        """The room to be entered then."""
        return self.grant.room._replace(view=self.view)


class Already(NamedTuple):
    """What was told of a subscription while its past was read: from where on, and which records."""

    starts: dict[Partition, int]
    told: set[Source]


def is_lasting(channel: Channel, record: Any) -> bool:
    """Whether who was away must hear of a record itself, not only of what is latest now."""
    return channel.delivery == "all" or (channel.delivery == "history" and record.is_closed)


class Resumption:
    """Compares tokens with what the gateway has."""

    def __init__(self, tokens: ResumeTokens, positions: Positions, recent: Recent) -> None:
        self._tokens = tokens
        self._positions = positions
        self._recent = recent

    def token(self, subject: str) -> str:
        """The token of someone who has everything up to now."""
        return self._tokens.issue(subject, self._positions.place())

    def token_at(self, subject: str, offsets: Mapping[Partition, int]) -> str:
        """The token of someone who has what stands before these offsets, and nothing of other partitions."""
        return self._tokens.issue(subject, Place(self._positions.place().topic_ids, offsets))

    def missed(
        self, channel: Channel, grant: Grant, view: View | None, token: str, seen: Iterable[Seen], subject: str, now: int
    ) -> Missed:
        """What the bearer of a token missed of a subscription."""
        place = self._tokens.read(token, subject)
        if place is None:
            return self.reset(ResetReason.TOKEN_UNKNOWN, channel, grant, now)
        if view is not None and view.max_rate is not None:
            return self.reset(ResetReason.PACED, channel, grant, now)
        current, place = self._positions.place(), place.after(seen)
        starts: dict[Partition, int] = {}
        for partition in self._partitions(channel, grant.room):
            topic, _ = partition
            if partition not in place.offsets or place.topic_ids[topic] != current.topic_ids.get(topic):
                return self.reset(ResetReason.TOPIC_CHANGED, channel, grant, now)
            starts[partition] = place.offsets[partition]
        return self.since(channel, grant, starts, now)

    def since(
        self,
        channel: Channel,
        grant: Grant,
        starts: dict[Partition, int],
        now: int,
        already: Already | None = None,
    ) -> Missed:
        """What stands in these partitions at these offsets or later; READING when memory does not reach so far.

        With `already`, a part was read and told before: the latest values may stand in that as well.
        """
        messages = []
        for partition, start in starts.items():
            if not self._reaches(channel, grant.room, partition, start):
                return Missed(Recovery.READING, starts=starts)
            messages += [channel.render(arrival, now) for arrival in self._recent.since(grant.room, partition, start)]
        told = {message.source for message in messages} | (set() if already is None else already.told)
        changed = starts if already is None else already.starts
        latest = [message for message in channel.snapshot(grant, now) if message.source not in told]
        messages += [message for message in latest if message.source.offset >= changed.get(_partition(message), 0)]
        return Missed(Recovery.RESUMED, messages=sorted(messages, key=lambda message: message.source))

    def reset(self, reason: ResetReason, channel: Channel, grant: Grant, now: int) -> Missed:
        """A fresh start."""
        return Missed(Recovery.RESET, reason, channel.snapshot(grant, now))

    def is_ahead(self, starts: dict[Partition, int]) -> bool:
        """Whether this gateway has yet to come to where the subscriber was."""
        return any(start > self._positions.next_of(partition) for partition, start in starts.items())

    def ends(self, starts: dict[Partition, int]) -> dict[Partition, int]:
        """How far this gateway is in these partitions."""
        return {partition: self._positions.next_of(partition) for partition in starts}

    def _reaches(self, channel: Channel, room: Room, partition: Partition, start: int) -> bool:
        if start > self._positions.next_of(partition):
            return False
        if channel.delivery in ("latest", "deltas"):
            return True
        return start >= max(self._positions.start_of(partition), self._recent.floor(room, partition))

    def _partitions(self, channel: Channel, room: Room) -> Iterator[Partition]:
        """Where the records of a room stand: its topics are partitioned by instrument, or have one partition."""
        for topic in channel.topics:
            if count := self._positions.partitions(topic.name):
                yield topic.name, partition_of(room.instrument, count)


def _partition(message: Message) -> Partition:
    return message.source.topic, message.source.partition
