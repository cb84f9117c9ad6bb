"""Where records are read from that came before those in memory: the interface between the topics (`topic_past`) and the hub."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from typing import Protocol

from gateway.messages import Arrival
from gateway.progress import Partition


class PastGone(Exception):
    """The first record wanted has expired."""


class PastTooLong(Exception):
    """There is more than may be read for one client."""


class PastFailed(Exception):
    """The topic could not be read."""


class Past(Protocol):
    """Reads a stretch of a partition for one client."""

    def read(self, partition: Partition, start: int, end: int, instruments: Collection[str]) -> AsyncGenerator[list[Arrival]]:
        """The records of these instruments from offset `start` up to, not including, `end`, in parts.

        Raises PastGone, PastTooLong, PastFailed.
        """
        ...
