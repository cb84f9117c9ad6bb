"""cryptofeed's strongest form: the message handler of its Binance feed, JSON by its own library, a librdkafka producer.

Run by the interpreter of its own environment, with nothing of ours: FRAMES BOOTSTRAP TOPIC; prints its figures as JSON.
Its own Kafka backend awaits each record and is many times slower.
"""

import asyncio
import gc
import json
import sys
import time
from typing import Any

from confluent_kafka import KafkaError, Producer
from cryptofeed.defines import TICKER, TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols
from yapic import json as yapic_json

FRAMES_PER_TURN = 64
FRAMES_PER_POLL = 100


class Sink:
    """Callbacks of the feed: each record as JSON to the producer, whose answers are counted."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic, self.delivered, self.failed = topic, 0, 0
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 5,
                "socket.nagle.disable": True,
                "queue.buffering.max.kbytes": 65_536,
                "queue.buffering.max.messages": 0,
            }
        )

    async def take(self, record: Any, received_at: float) -> None:
        fields = record.to_dict()
        fields["receipt_timestamp"] = received_at
        value = yapic_json.dumpb(fields)
        while True:
            try:
                self.producer.produce(self.topic, value, record.symbol, on_delivery=self.on_delivery)
            except BufferError:
                self.producer.poll(0.01)
            else:
                return

    def on_delivery(self, error: KafkaError | None, _message: object) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.failed += 1


async def play(feed: Any, sink: Sink, frames: list[str]) -> None:
    handle, poll = feed.message_handler, sink.producer.poll
    for number, frame in enumerate(frames):
        await handle(frame, None, time.time())
        if number % FRAMES_PER_POLL == 0:
            poll(0)
        if number % FRAMES_PER_TURN == 0:
            await asyncio.sleep(0)
    sink.producer.flush()


def peak_rss_mb() -> float:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return float(file.read().partition("VmHWM:")[2].split()[0]) / 1000


def main(path: str, bootstrap: str, topic: str) -> None:
    with open(path, encoding="utf-8") as file:
        frames = file.read().splitlines()
    Symbols.set("BINANCE", {"BTC-USDT": "BTCUSDT"}, {"tick_size": {}, "instrument_type": {"BTC-USDT": "spot"}})
    sink = Sink(bootstrap, topic)

    sink.producer.list_topics(topic)
    callbacks = {TRADES: sink.take, TICKER: sink.take}
    feed = Binance(symbols=["BTC-USDT"], channels=[TRADES, TICKER], callbacks=callbacks)
    gc.collect()
    gc.freeze()
    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(play(feed, sink, frames))
    figures = {
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - began,
        "delivered": sink.delivered,
        "failed": sink.failed,
        "peak_rss_mb": peak_rss_mb(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
