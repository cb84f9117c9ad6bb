"""What replays read: the interface between the retained topics (`topics`) and a replay."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.messages import Arrival
from gateway.progress import Partition
from gateway.replay.lanes import End, Stored

Wanted = Mapping[str, Collection[bytes]]
"""By topic, the instruments of which records are wanted."""


class Where(NamedTuple):
    """How a partition stands to a time: its first offset, that of the first record stored then or later, and its end."""

    first: int
    start: int
    end: int
    first_at: int | None = None
    """When the first record was stored (microseconds), where none was stored before the time."""


class Polled(NamedTuple):
    """What was read, and how much of the processor's time (seconds) that took."""

    found: list[Stored | End]
    spent: float


class Reading(Protocol):
    """Partitions that are read for one replay."""

    async def assign(self, starts: Mapping[Partition, int], wanted: Wanted) -> None:
        """Read these partitions from these offsets on. Raises PastFailed."""
        ...

    async def poll(self, seconds: float, lacking: Collection[Partition], *, is_full: bool) -> Polled:
        """What has come, waiting so long for the first of it; while it `is_full` only what is lacking is read.

        Raises PastGone where records expired before they were read, PastFailed.
        """
        ...

    async def decode(self, stored: Sequence[Stored]) -> list[tuple[int, Arrival]]:
        """When each record was stored, and what it is; what cannot be read is passed over. Raises PastFailed."""
        ...

    def close(self) -> None:
        """Read no more."""
        ...


class Archive(Protocol):
    """The retained topics."""

    async def places(self, partitions: Collection[Partition], time: int) -> dict[Partition, Where]:
        """How partitions stand to a time (microseconds). Raises PastFailed."""
        ...

    def read(self, partition: Partition, start: int, end: int, instruments: Collection[str]) -> AsyncGenerator[list[Arrival]]:
        """As `gateway.past.Past` has it; what is read says when it was stored."""
        ...

    def open(self) -> Reading:
        """Read partitions for a replay."""
        ...
