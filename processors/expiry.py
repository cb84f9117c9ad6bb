"""What a hole between the offset wanted next and the records that came means. Pure.

Offsets may be missing inside a topic (compaction, transactions): nothing is lost by going on. Records that expired before
they were read are lost to what is computed here, and a person decides about that, as for the sinks. A topic that ends before
the offset wanted is another one, or has lost its end: the stored tables know offsets that it will give to other records, so
there is no going on with them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

OnExpired = Literal["fail", "continue"]


class Extent(NamedTuple):
    """Offset of the first record there is of a partition, and the offset after its last."""

    begin: int
    end: int


class Reached(NamedTuple):
    """How far a partition was read, and where reading went on behind its last hole (0: it has none)."""

    offset: int = -1
    resumed_at: int = 0

    def advanced(self, first: int, last: int) -> Reached:
        """After a batch of the offsets `first` to `last`, which may have been read before."""
        has_hole = 0 <= self.offset < first - 1
        return Reached(max(self.offset, last), first if has_hole else self.resumed_at)


BEGIN_ANEW = "To begin anew, set another processors.application and run `tapeline topics apply`"

_ANOTHER_TOPIC = f"it lost its end, or was deleted and created again. The tables belong to what was there. {BEGIN_ANEW}"


class RecordsLost(Exception):
    """Records that should be read next are not in their topic. One line for the operator."""

    exit_code = 1


def check_hole(topic: str, partition: int, wanted: int, extent: Extent, on_expired: OnExpired) -> int:
    """How many records expired before they were read, 0 for a hole of the topic's own.

    Raises RecordsLost where the topic ends before `wanted`, and where records expired unless `on_expired` is `continue`.
    """
    begin, end = extent
    place = f"{topic}[{partition}]: everything before offset {wanted} is processed, the topic has {begin} to {end}"
    if end < wanted:
        raise RecordsLost(f"{place}: {_ANOTHER_TOPIC}")
    if begin <= wanted:
        return 0
    if on_expired == "fail":
        raise RecordsLost(
            f"{place}: records were deleted before they were processed. To go on from the oldest record there is, knowing that "
            "what is computed will lack what is gone, set processors.worker.on_expired to continue"
        )
    return begin - wanted


def check_known(topic: str, partition: int, known: int, end: int) -> None:
    """Raise RecordsLost when the tables have taken in an offset that the topic has not reached: it is another topic.

    Kafka forgets what is committed when a topic is deleted, so the tables are all that remembers.
    """
    if known >= end:
        raise RecordsLost(f"{topic}[{partition}]: the tables hold offset {known}, the topic ends at {end}: {_ANOTHER_TOPIC}")
