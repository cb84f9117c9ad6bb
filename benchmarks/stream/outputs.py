"""The candles a contestant has written, read back from its topic."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from benchmarks.stream.fold import CandleId, FinalCandle
from benchmarks.stream.servers import Offsets, Server
from market.candle import CandleEvent
from schemas.codec import Codec

FIXED = struct.Struct(">8qQ4q")
"""Values of contestants without Avro: last id, trade count, open, high, low, close, volume, amount (high and low half), and
four more that only the contestant needs."""

_JSON = msgspec.json.Decoder()
_TIMEOUT = 10.0


class Version(NamedTuple):
    """A version of a candle: `last_id` is its last trade's, `order` rises from version to version of one candle."""

    key: CandleId
    candle: FinalCandle
    last_id: int
    order: tuple[int, int]
    closed: bool


class Output(NamedTuple):
    """A version and when the broker appended it (milliseconds since the epoch)."""

    version: Version
    appended_ms: int


Decode = Callable[[bytes, bytes, int], Version | None]
"""From key, value and offset; None for what is no candle of a minute."""


def avro_decoder(codec: Codec) -> Decode:
    """Our own candles of a minute, among those of other intervals."""

    def decode(key: bytes, value: bytes, offset: int) -> Version | None:
        if b"|1m|" not in key:
            return None
        event = codec.decode(value)
        if not isinstance(event, CandleEvent):
            raise TypeError(f"{key!r} is no candle")
        figures = (event.open, event.high, event.low, event.close, event.volume, event.amount, event.trade_count)
        candle = FinalCandle(*figures)
        return Version((event.instrument, event.open_time), candle, int(event.last_trade_id), event.version, event.is_closed)

    return decode


def decode_fixed(key: bytes, value: bytes, offset: int) -> Version:
    """Candles of fixed length."""
    last_id, count, open_, high, low, close, volume, amount_high, amount_low, *_ = FIXED.unpack(value)
    candle = FinalCandle(open_, high, low, close, volume, (amount_high << 64) + amount_low, count)
    return Version(split_key(key), candle, last_id, (0, offset), closed=True)


def decode_json(key: bytes, value: bytes, offset: int) -> Version:
    """Candles as JSON."""
    found = _JSON.decode(value)
    candle = FinalCandle(*(int(found[name]) for name in FinalCandle._fields))
    return Version(split_key(key), candle, int(found["last_id"]), (0, offset), closed=True)


def split_key(key: bytes) -> CandleId:
    """Instrument and open time of a key `instrument|interval|open_time`."""
    instrument, _, open_time = key.decode().split("|")
    return instrument, int(open_time)


def read_outputs(server: Server, topic: str, start: Offsets, decode: Decode) -> Iterator[Output]:
    """All versions in a topic from these offsets to its ends of now."""
    for message in read_messages(server, topic, start):
        version = decode(message.key() or b"", message.value() or b"", message.offset() or 0)
        if version is not None:
            yield Output(version, message.timestamp()[1])


def read_messages(server: Server, topic: str, start: Offsets) -> Iterator[Message]:
    """All records of a topic from these offsets to its ends of now. Raises KafkaException, TimeoutError."""
    ends = server.ends(topic)
    left = {number: end for number, end in ends.items() if start[number] < end}
    consumer = Consumer({"bootstrap.servers": server.bootstrap, "group.id": "benchmark-outputs", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, number, start[number]) for number in left])
        while left:
            messages = consumer.consume(1000, timeout=_TIMEOUT)
            if not messages:
                raise TimeoutError(f"{topic}: nothing comes any more of what is left, by partition: {left}")
            for message in messages:
                if (error := message.error()) is not None:
                    raise KafkaException(error)
                yield message
                number = message.partition() or 0
                if (message.offset() or 0) + 1 >= ends[number]:
                    left.pop(number, None)
    finally:
        consumer.close()


def final_versions(outputs: Iterable[Output]) -> dict[CandleId, Version]:
    """The latest version of each candle."""
    latest: dict[CandleId, Version] = {}
    for version, _ in outputs:
        held = latest.get(version.key)
        if held is None or held.order <= version.order:
            latest[version.key] = version
    return latest
