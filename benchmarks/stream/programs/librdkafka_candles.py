"""One-minute candles by a bare loop over librdkafka: `consume(1000)`, decoding by hand, a dict, candles written at each commit.

No state store, no changelog, no recovery: what remains when everything a stream processor guarantees is left out.

    python -m benchmarks.stream.programs.librdkafka_candles BOOTSTRAP GROUP TRADE_SCHEMA_ID [OUTPUT [swift]]

Without an output topic records are read and committed only. `swift` writes candles as soon as there are any, at the pace of
our engine's lowest latency: no stream processor on this client, this broker and this machine could be sooner.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, Message, Producer

from benchmarks.stream.outputs import FIXED
from schemas.topics import TRADES

COMMIT_SECONDS = 0.1
SWIFT_SECONDS = 0.003
_MINUTE = 60_000_000
_LOW = (1 << 64) - 1

State = dict[tuple[bytes, int], list[int]]
"""By instrument and open time: last id, count, open, high, low, close, volume, amount."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A decoded Avro long and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value >> 1 ^ -(value & 1), at
        shift += 7


def decode(data: bytes) -> tuple[int, int, int, int]:
    """Id, event time, price and size of a framed trade."""
    at = 6 + (data[5] >> 1)  # the instrument, which is the record's key too; ids and figures are short enough for one byte
    end = at + 1 + (data[at] >> 1)
    number = int(data[at + 1 : end])
    at = end
    while data[at] >= 0x80:  # sequence
        at += 1
    at += 1
    end = at + 1 + (data[at] >> 1)
    price = int.from_bytes(data[at + 1 : end], "big", signed=True)
    at, end = end, end + 1 + (data[end] >> 1)
    size = int.from_bytes(data[at + 1 : end], "big", signed=True)
    at = end + (2 if data[end] else 1)  # side
    event_time, _ = varint(data, at + 1)  # of the exchange, or the receive time behind it where that is null
    return number, event_time, price, size


def fold(state: State, dirty: set[tuple[bytes, int]], messages: Sequence[Message], trade_head: bytes) -> None:
    """Take in the trades among the messages."""
    for message in messages:
        if message.error() is not None:
            raise KafkaException(message.error())
        value = message.value()
        if value is None or not value.startswith(trade_head):
            continue
        number, time_, price, size = decode(value)
        key = message.key() or b"", time_ - time_ % _MINUTE
        candle = state.get(key)
        if candle is None:
            state[key] = [number, 1, price, price, price, price, size, price * size]
        elif number > candle[0]:
            candle[0] = number
            candle[1] += 1
            if price > candle[3]:
                candle[3] = price
            elif price < candle[4]:
                candle[4] = price
            candle[5] = price
            candle[6] += size
            candle[7] += price * size
        else:
            continue
        dirty.add(key)


def write(producer: Producer, output: str, state: State, dirty: set[tuple[bytes, int]]) -> None:
    """Produce the candles that changed and wait for the broker."""
    for key in dirty:
        instrument, open_time = key
        *figures, amount = state[key]
        value = FIXED.pack(*figures, amount >> 64, amount & _LOW, 0, 0, 0, 0)
        producer.produce(output, value, b"%b|1m|%d" % (instrument, open_time))
    if producer.flush(30):
        raise RuntimeError("the broker did not take the candles")
    dirty.clear()


def main(bootstrap: str, group: str, schema_id: str, output: str | None = None, pace: str = "") -> None:
    """Run until SIGTERM."""
    is_swift = pace == "swift"
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.min.messages": 200_000,
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 5,
        }
    )
    producer = Producer(
        {"bootstrap.servers": bootstrap, "compression.type": "lz4", "acks": "all", "linger.ms": 0 if is_swift else 5}
    )
    consumer.subscribe([TRADES.name])
    state: State = {}
    dirty: set[tuple[bytes, int]] = set()
    trade_head = b"\0" + int(schema_id).to_bytes(4, "big")
    uncommitted, due = False, time.monotonic()
    while not stop:
        messages = consumer.consume(1000, timeout=SWIFT_SECONDS if is_swift else COMMIT_SECONDS)
        if messages:
            uncommitted = True
            if output is not None:
                fold(state, dirty, messages, trade_head)
                if is_swift:
                    write(producer, output, state, dirty)
        if uncommitted and time.monotonic() >= due:
            if output is not None:
                write(producer, output, state, dirty)
            consumer.commit(asynchronous=False)
            uncommitted, due = False, time.monotonic() + COMMIT_SECONDS
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
