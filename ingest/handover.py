"""Handing ordinary records to the client, and counting its deliveries, with as little as there is to look at.

Ordinary is a record whose class is stamped as it is written, of an instrument that was published before. The publisher says
which classes and instruments these are, and takes whatever else comes its whole way, which does the same for these.
`ingest._handover_compiled` does it sooner where it was built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from market.errors import DataValidationError
from market.trade import Trade
from schemas.codec import Stamper
from schemas.records import Record
from schemas.topics import Topic

OnDelivery = Callable[[KafkaError | None, Message], None]

NOT_ORDINARY = (KeyError, BufferError, KafkaException, DataValidationError)
"""What is raised before the client has taken a record: it is not known, does not fit, or there is no room."""


class Way(NamedTuple):
    """Where records of a class go, and how they are written. `places` are key and partition by instrument."""

    topic: Topic
    name: str
    on_delivery: OnDelivery
    stamper: Stamper | None
    header: bytes
    places: dict[str, tuple[bytes, int]]


def hand_over_plainly(
    ways: Mapping[type[Record], Way],
    produce: Callable[..., None],
    records: Sequence[Record],
    begin: int,
    end: int,
    now: int,
    delays: list[int],
) -> int:
    """Produce `records[begin:end]` as published now, up to the first that is not ordinary; its index, or `end`.

    `ways` are those of ordinary records, which have stampers. `delays` grows by how long ago (microseconds) each trade of them
    was received.
    """
    done = begin
    try:
        for record in islice(records, begin, end):
            _, name, on_delivery, stamper, header, places = ways[type(record)]
            key, partition = places[record[0]]
            produce(name, stamper(record, header, now), key, partition, on_delivery)  # type: ignore[misc]  # they have one
            done += 1
    except NOT_ORDINARY:  # nothing was done with it
        pass
    delays += [max(0, now - record.received_at) for record in islice(records, begin, done) if type(record) is Trade]
    return done


def tally_plainly(delivered: Counter[str], topic: str, failed: Callable[[KafkaError, str], None]) -> OnDelivery:
    """A delivery callback for the records of a topic: counts those that were delivered, and tells of any other."""

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is None:
            delivered[topic] += 1
        else:
            failed(error, topic)

    return on_delivery


hand_over: Any
tally: Any
try:
    from ingest._handover_compiled import hand_over as hand_over
    from ingest._handover_compiled import tally as tally
except ImportError:  # it was not built
    hand_over, tally = hand_over_plainly, tally_plainly
