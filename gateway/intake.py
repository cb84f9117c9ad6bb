"""Where the gateway's records come from: the interface between the topics (`tail`) and the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from gateway.messages import Arrival

Deliver = Callable[[list[Arrival]], float]
"""Takes a batch of records, on the event loop, in the order of their partitions.

Returns for how many seconds more need not come, as they would be told no sooner.
"""

Report = Callable[[str | None], None]
"""Takes what is wrong with the intake in words, None when all is well; called on the event loop at each change.

Clients read these words, so they name no address.
"""


class PartitionProgress(NamedTuple):
    """How far a partition was read: offset of the next record, and the end of the partition as last heard."""

    topic: str
    partition: int
    position: int
    end: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an intake began to read each partition, and the ids of the topics."""

    starts: Mapping[tuple[str, int], int] = field(default_factory=dict)
    topic_ids: Mapping[str, str] = field(default_factory=dict)


class Intake(Protocol):
    """Delivers records until cancelled."""

    async def run(self, deliver: Deliver, report: Report) -> None:
        """Deliver recent records, then live ones; `report` is called with None once the recent ones are all delivered.

        Raises RuntimeFault when it cannot start; later disturbances are reported, and nothing is skipped because of them.
        """
        ...

    def origin(self) -> Origin:
        """Where reading began, and the ids of the topics then; known before the first record is delivered."""
        ...

    def progress(self) -> list[PartitionProgress]:
        """How far each partition was read."""
        ...
