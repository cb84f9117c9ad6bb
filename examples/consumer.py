"""Print the candles as they form: each version that is newer than what was printed of its candle before.

    python examples/consumer.py --broker 127.0.0.1:9092 --registry http://127.0.0.1:8081

Needs `pip install 'confluent-kafka[avro,schemaregistry]'`. Ctrl-C or SIGTERM ends it; started again, it goes on where it was.
Delivery is at least once, so after a crash the last lines may come again. `docs/topics.md` says what the topics hold.
"""

from __future__ import annotations

import argparse
import os
import signal
from typing import Any

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

TOPIC = "md.candles"
REMEMBERED = 100_000
"""Candles whose version is remembered. Corrections reach back a day: 1,440 candles of one minute for each instrument."""

COMMIT_EVERY = 1_000


def options() -> argparse.Namespace:
    """The command line; the environment has the defaults."""
    parser = argparse.ArgumentParser(description="Print candles as they form.")
    parser.add_argument("--broker", default=os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092"))
    parser.add_argument("--registry", default=os.environ.get("SCHEMA_REGISTRY_URL", "http://127.0.0.1:8081"))
    parser.add_argument("--group", default=os.environ.get("KAFKA_GROUP", "candle-printer"))
    return parser.parse_args()


class Versions:
    """The highest version seen of each candle."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Any, ...], tuple[int, int]] = {}

    def is_new(self, candle: dict[str, Any]) -> bool:
        """Whether this version is higher than those before. Higher is a later revision, then a later source offset."""
        key = candle["instrument"], candle["interval"], candle["open_time"]
        version = candle["revision"], candle["source_offset"]
        if version <= self._seen.get(key, (-1, -1)):
            return False
        self._seen[key] = version
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True


def line(candle: dict[str, Any]) -> str:
    """A candle as a line; the figures are Decimals, so every digit is right."""
    figures = " ".join(f"{name}={candle[name]:f}" for name in ("open", "high", "low", "close", "volume", "amount"))
    opened = f"{candle['open_time']:%Y-%m-%dT%H:%M:%SZ}"
    return f"{candle['instrument']} {candle['interval']} {opened} {candle['kind']} revision={candle['revision']} {figures}"


def main() -> None:
    """Print until told to stop; offsets are committed behind what was printed."""
    given, stopped = options(), []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))
    decode = AvroDeserializer(SchemaRegistryClient({"url": given.registry}))
    settings = {"bootstrap.servers": given.broker, "group.id": given.group, "enable.auto.commit": False}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    versions, uncommitted = Versions(), 0
    try:
        while not stopped:
            message = consumer.poll(0.5)
            if message is not None:
                if message.error():
                    raise KafkaException(message.error())
                candle = decode(message.value(), SerializationContext(TOPIC, MessageField.VALUE))
                if versions.is_new(candle):
                    print(line(candle), flush=True)
                uncommitted += 1
            if uncommitted and (message is None or uncommitted >= COMMIT_EVERY):
                consumer.commit(asynchronous=False)
                uncommitted = 0
        if uncommitted:
            consumer.commit(asynchronous=False)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
