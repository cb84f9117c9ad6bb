from collections import Counter
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError

from ingest.handover import OnDelivery, Way
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
def tally(delivered: Counter[str], topic: str, failed: Callable[[KafkaError, str], None]) -> OnDelivery: ...
