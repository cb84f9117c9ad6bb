"""EMA and RSI of every closed candle, as a service that may be killed at any time.

    python -m examples.indicators --broker 127.0.0.1:9092 --registry http://127.0.0.1:8081

Reads `md.candles` and writes a topic of its own: compacted, keyed and partitioned as the candles, values in JSON, decimals as
text. A value is a function of the last 250 closed candles in their highest versions (`closed_candles.WINDOW`); after a
correction the values behind it are told again. Of equal keys the record with the highest `source_offset` is the truth.

It keeps no state. Whenever it gets a partition it reads the candles from the beginning, silently up to the offset that its
group has committed and telling values from there on. An offset is committed when the values of all candles before it are
acknowledged; so a crash loses none, and repeats some.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from examples.closed_candles import ClosedCandles
from examples.formulas import ema, rsi

CANDLES = "md.candles"
EMA_LENGTH, RSI_LENGTH = 20, 14
COMMIT_SECONDS, MOST_PENDING = 1.0, 10_000
SESSION_MS = 10_000
"""How long the partitions of a killed process wait for another; the same `--instance` has them back at once."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def options() -> argparse.Namespace:
    """The command line; the environment has the defaults."""
    parser = argparse.ArgumentParser(description="Compute indicators of the candles.")
    parser.add_argument("--broker", default=os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092"))
    parser.add_argument("--registry", default=os.environ.get("SCHEMA_REGISTRY_URL", "http://127.0.0.1:8081"))
    parser.add_argument("--group", default=os.environ.get("KAFKA_GROUP", "indicators"))
    parser.add_argument("--instance", default=os.environ.get("KAFKA_INSTANCE"), help="the same name at each start: no waiting")
    parser.add_argument("--output", default=os.environ.get("INDICATORS_TOPIC", "indicators"))
    return parser.parse_args()


def create_output(broker: str, output: str) -> None:
    """Create the topic of the values with as many partitions as the candles have, so that equal numbers belong together."""
    admin = AdminClient({"bootstrap.servers": broker})
    count = len(admin.list_topics(CANDLES, timeout=10).topics[CANDLES].partitions)
    if not count:
        raise SystemExit(f"there is no topic {CANDLES} at {broker}")
    settings = {"cleanup.policy": "compact,delete", "retention.ms": str(30 * 86_400_000)}
    try:
        admin.create_topics([NewTopic(output, count, config=settings)])[output].result(10)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
    if (found := len(admin.list_topics(output, timeout=10).topics[output].partitions)) not in (0, count):
        raise SystemExit(f"{output} has {found} partitions, {CANDLES} has {count}")


class Indicators:
    """The partitions this process has, their candles, and what is still to be acknowledged and committed."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._output = given.output
        self._decode = AvroDeserializer(SchemaRegistryClient({"url": given.registry}))
        self._producer = Producer({"bootstrap.servers": given.broker, "enable.idempotence": True})
        settings = {"bootstrap.servers": given.broker, "group.id": given.group, "auto.offset.reset": "earliest"}
        settings |= {"group.instance.id": given.instance} if given.instance else {}
        self._consumer = Consumer({**settings, "enable.auto.commit": False, "session.timeout.ms": SESSION_MS})
        self._consumer.subscribe([CANDLES], on_assign=self._assigned, on_revoke=self._revoked)
        self._series: dict[int, defaultdict[tuple[str, str], ClosedCandles]] = {}
        self._told: dict[int, int] = {}
        self._uncommitted: dict[int, int] = {}
        self._pending, self._committed_at = 0, 0.0

    def step(self) -> None:
        """Take a candle, if there is one, and commit from time to time."""
        message = self._consumer.poll(0.2)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            self._take(message)
        if self._pending > MOST_PENDING or time.monotonic() - self._committed_at > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Wait until all values are acknowledged, then commit the candles they are of."""
        self._producer.flush()
        if self._uncommitted:
            offsets = [TopicPartition(CANDLES, number, offset) for number, offset in self._uncommitted.items()]
            self._consumer.commit(offsets=offsets, asynchronous=False)
        self._uncommitted.clear()
        self._pending, self._committed_at = 0, time.monotonic()

    def close(self) -> None:
        """Leave the group at once, so that others go on."""
        self._consumer.close()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for known in consumer.committed(partitions, timeout=10):
            self._series[known.partition] = defaultdict(ClosedCandles)
            self._told[known.partition] = max(known.offset, 0)
        consumer.assign([TopicPartition(CANDLES, one.partition, OFFSET_BEGINNING) for one in partitions])

    def _revoked(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._uncommitted.clear()  # whoever has them next tells these values once more

    def _take(self, message: Message) -> None:
        number, offset = message.partition() or 0, message.offset() or 0
        candle: Any = self._decode(message.value(), SerializationContext(CANDLES, MessageField.VALUE))
        series = self._series[number][candle["instrument"], candle["interval"]]
        changed = series.take(candle)
        if offset < self._told[number]:
            return
        for opened in changed:
            self._tell(candle, opened, series, number, offset)
        self._uncommitted[number] = offset + 1

    def _tell(self, candle: dict[str, Any], opened: datetime, series: ClosedCandles, number: int, offset: int) -> None:
        closes, micros = series.closes(opened), (opened - _EPOCH) // timedelta(microseconds=1)
        average, strength = ema(closes, EMA_LENGTH), rsi(closes, RSI_LENGTH)
        value = {
            "instrument": candle["instrument"],
            "interval": candle["interval"],
            "open_time": micros,
            "close": f"{closes[-1]:f}",
            f"ema_{EMA_LENGTH}": None if average is None else f"{average:f}",
            f"rsi_{RSI_LENGTH}": None if strength is None else f"{strength:f}",
            "source_offset": offset,
        }
        key = f"{candle['instrument']}|{candle['interval']}|{micros}"
        self._producer.produce(self._output, json.dumps(value), key, number, on_delivery=_delivered)
        self._producer.poll(0)
        self._pending += 1


def _delivered(error: KafkaError | None, message: Message) -> None:
    """A value that the broker did not take ends the service before its candle is committed."""
    if error is not None:
        raise KafkaException(error)


def main() -> None:
    """Work until told to stop."""
    given, stopped = options(), list[bool]()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))
    create_output(given.broker, given.output)
    indicators = Indicators(given)
    try:
        while not stopped:
            indicators.step()
        indicators.commit()
    finally:
        indicators.close()


if __name__ == "__main__":
    main()
