from collections.abc import Callable, Sequence

from ingest.handover import Way
from schemas.records import Record

def hand_over(
    ways: dict[type[Record], Way],
    produce: Callable[..., None],
    records: Sequence[Record],
    begin: int,
    end: int,
    now: int,
    delays: list[int],
) -> int: ...
