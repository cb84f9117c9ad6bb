"""Records that cannot be taken in."""

from __future__ import annotations

import json
import random
import struct
import time
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from market.decimals import ONE
from market.trade import TimeMark, Trade
from schemas.partitioning import partition_of
from schemas.records import schema_text
from tests.builders import MINUTE, START, make_trade
from tests.faults.rig import TRADES, Rig, largest_message
from tests.faults.trading import SECOND, Shape

YEAR_9999 = 253_370_764_800_000_000


@dataclass(frozen=True)
class Poison:
    """A record with what its dead letter must say."""

    key: bytes | None
    value: bytes | None
    reason: str
    field: str | None = None


@pytest.mark.short
def test_poison_becomes_dead_letters_and_leaves_its_neighbours_alone(feeding: Rig) -> None:
    rig, chance = feeding, random.Random(feeding.seed)
    story = rig.story(Shape(instruments=1, trades=200, gaps=0, too_late=0))
    (name,) = story.instruments
    good, key = rig.cluster.codec.encode(TRADES, make_trade(1, instrument=name)), name.encode()
    poison = [
        Poison(key, b"", "undecodable"),
        Poison(key, chance.randbytes(1), "undecodable"),
        Poison(key, b"\x01" + good[1:], "undecodable"),
        Poison(key, struct.pack(">bI", 0, 4_000_000 + rig.seed) + good[5:], "unknown_schema"),
        Poison(key, good[: chance.randint(6, len(good) - 1)], "undecodable"),
        Poison(key, good + chance.randbytes(chance.randint(1, 9)), "undecodable"),
        Poison(key, b"\xff" + chance.randbytes(1_023), "undecodable"),
        Poison(key, None, "undecodable"),
        Poison(None, good, "wrong_key", "key"),
        Poison(key, b"\x02" + chance.randbytes(2_000_000), "undecodable"),
    ]
    chance.shuffle(poison)
    with largest_message(rig, TRADES, 4 << 20):
        places = publish_among(rig, story.records, poison)
    rig.wait_done(*rig.workers)
    rig.judge(story, poison=places)
    check_letters(rig, poison, places)


def test_bad_values_are_refused_by_name_and_poison_neither_candles_nor_time(feeding: Rig) -> None:
    rig, chance = feeding, random.Random(feeding.seed)
    story = rig.story(Shape(instruments=2, trades=300, gaps=0, too_late=0))
    name = chance.choice(story.instruments)
    trade = make_trade(900_000 + rig.seed, at=START + MINUTE, instrument=name)

    def bad(reason: str, field: str, key: str = name, **values: Any) -> Poison:
        return Poison(key.encode(), rig.cluster.codec.encode(TRADES, trade._replace(**values)), reason, field)

    huge = int(1e308)
    poison = [
        bad("not_positive", "price", price=0),
        bad("not_positive", "price", price=-chance.randint(1, 10**15)),
        bad("not_positive", "size", size=0),
        bad("not_positive", "size", size=-1),
        bad("bad_instrument", "instrument", "sim:БТЦ-USD", instrument="sim:БТЦ-USD"),
        bad("bad_instrument", "instrument", "sim:" + "A" * 10_240, instrument="sim:" + "A" * 10_240),
        bad("bad_instrument", "instrument", "nowhere", instrument="nowhere"),
        bad("bad_time", "exchange_time", exchange_time=0),
        bad("bad_time", "exchange_time", exchange_time=YEAR_9999),
        bad("bad_time", "exchange_time", exchange_time=trade.event_time // 1_000),
        bad("bad_time", "received_at", received_at=trade.event_time // 1_000),
        bad("bad_time", "received_at", received_at=YEAR_9999),
        Poison(name.encode(), with_raw_decimals(rig, trade, price=huge * ONE), "too_large", "price"),
        Poison(name.encode(), with_raw_decimals(rig, trade, size=10**38), "too_large", "size"),
        Poison(name.encode(), with_raw_decimals(rig, trade, price=10**37, size=10**37), "too_large", "amount"),
        *(Poison(name.encode(), with_float_price(rig, trade, price), "undecodable") for price in (float("nan"), float("inf"))),
    ]
    chance.shuffle(poison)
    places = publish_among(rig, story.records, poison)
    rig.wait_done(*rig.workers)
    rig.judge(story, poison=places)
    check_letters(rig, poison, places)


def test_one_time_of_the_far_future_closes_no_candle(feeding: Rig) -> None:
    rig, chance = feeding, random.Random(feeding.seed)
    story = rig.story(Shape(instruments=4, trades=400, too_late=0))
    name = chance.choice(story.instruments)
    ahead = START + chance.choice([MINUTE, 365 * 86_400 * SECOND, 70 * 365 * 86_400 * SECOND])
    trade = make_trade(900_000, at=ahead, received_at=START + MINUTE, instrument=name)
    tomorrow = round(time.time() * 1e6) + 86_400 * SECOND

    def far(field: str, record: Trade | TimeMark) -> Poison:
        return Poison(name.encode(), rig.cluster.codec.encode(TRADES, record), "future_time", field)

    poison = [
        far("exchange_time", trade._replace(exchange_time=START + MINUTE + 5 * SECOND + 1)),
        far("exchange_time", trade._replace(exchange_time=max(ahead, START + 2 * MINUTE))),
        far("received_at", trade._replace(exchange_time=tomorrow, received_at=tomorrow)),
        far("received_at", trade._replace(exchange_time=None, received_at=tomorrow)),
        far("time", TimeMark(name, tomorrow)),
    ]
    places = publish_among(rig, story.records, poison)
    rig.wait_done(*rig.workers)
    wanted = rig.judge(story, poison=places)
    check_letters(rig, poison, places)
    last = [one.minutes[max(one.minutes)] for one in wanted.values()]
    assert all(minute.revision == 0 for minute in last), "a candle could have been closed early only if one stays open"


def publish_among(rig: Rig, records: list[Any], poison: list[Poison]) -> dict[tuple[int, int], int]:
    """Publish records with poison spread among them; which poison lies at which partition and offset."""
    places: dict[tuple[int, int], int] = {}
    producer = Producer(
        {"bootstrap.servers": rig.cluster.servers.kafka, "message.max.bytes": 4 << 20, "enable.idempotence": True}
    )
    step = len(records) // (len(poison) + 1)
    partition = partition_of(records[0].instrument, rig.cluster.settings.topics.partitions)
    for number, one in enumerate(poison):
        rig.publish(records[number * step : (number + 1) * step])

        def note(error: Any, message: Any, number: int = number) -> None:
            assert error is None, error
            places[message.partition(), message.offset()] = number

        producer.produce(TRADES, key=one.key, value=one.value, partition=partition, on_delivery=note)
        assert producer.flush(30) == 0
    rig.publish(records[len(poison) * step :])
    assert len(places) == len(poison)
    return places


def check_letters(rig: Rig, poison: list[Poison], places: dict[tuple[int, int], int]) -> None:
    """Raise AssertionError unless every poison is a dead letter that says where it lay, what it was and what is wrong."""
    letters = {(letter.source_partition, letter.source_offset): letter for letter in rig.letters()}
    for place, number in places.items():
        wanted, letter = poison[number], letters.get(place)
        assert letter is not None, f"{wanted} at {place} is in no dead letter"
        assert (letter.source, letter.stage, letter.truncated) == (TRADES, "processors", False)
        assert (letter.key, letter.value) == (wanted.key, wanted.value)
        assert (letter.reason, letter.field) == (wanted.reason, wanted.field), letter.error
        assert letter.error
        if wanted.field:
            assert wanted.field in letter.error


def with_raw_decimals(rig: Rig, trade: Trade, **figures: int) -> bytes:
    """A framed trade with figures of any size, which no writer of ours would make."""
    schema = fastavro.parse_schema(_without_logical_types(json.loads(schema_text(Trade))))
    values = {**trade._asdict(), **figures}
    for name in ("price", "size"):
        values[name] = values[name].to_bytes(values[name].bit_length() // 8 + 1, "big", signed=True)
    body = BytesIO()
    fastavro.schemaless_writer(body, schema, values)
    return rig.cluster.codec.encode(TRADES, trade)[:5] + body.getvalue()


def with_float_price(rig: Rig, trade: Trade, price: float) -> bytes:
    """A framed trade of a foreign writer whose schema, properly registered elsewhere, has floating-point prices."""
    text = schema_text(Trade).replace(
        '{"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12}',
        '{"name": "price", "type": "double"',
    )
    registry = SchemaRegistryClient({"url": rig.cluster.servers.registry})
    try:
        number = registry.register_schema("foreign-trades", Schema(text, "AVRO"))
    finally:
        registry.close()
    schema, body = fastavro.parse_schema(_without_logical_types(json.loads(text))), BytesIO()
    size = trade.size.to_bytes(trade.size.bit_length() // 8 + 1, "big", signed=True)
    fastavro.schemaless_writer(body, schema, {**trade._asdict(), "price": price, "size": size})
    return struct.pack(">bI", 0, number) + body.getvalue()


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_logical_types(item) for item in node]
    if isinstance(node, dict):
        return {key: _without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    return node
