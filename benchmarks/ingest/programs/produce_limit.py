"""The limit: what our ingest makes of the frames, made before the clock runs, to librdkafka's `produce()` with a callback each.

CONFIG FRAMES TOPIC; prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.ingest.frames import INSTRUMENT
from benchmarks.ingest.programs.recorded import RecordedFeed, figures_of, read_frames
from ingest.publisher import TOPIC_OF
from market.feed_status import FeedStatus
from runtime.kafka import producer_options, registry_options
from runtime.settings import load
from schemas.partitioning import partition_of
from schemas.registry import Registry

_RECORDS_PER_POLL = 100


async def _values(feed: RecordedFeed, config: Path) -> list[bytes]:
    settings = load(config)
    with Registry(registry_options(settings.registry)) as registry:
        codec = registry.codec(dict.fromkeys(TOPIC_OF.values()))
    await feed.connect()
    stamped = [
        record._replace(published_at=record.received_at)  # type: ignore[union-attr,call-arg]  # ticks have both
        async for record in feed
        if hasattr(record, "received_at") and not isinstance(record, FeedStatus)
    ]
    return [codec.encode(TOPIC_OF[type(record)].name, record) for record in stamped]


def main(config: Path, frames: Path, topic: str) -> None:
    """Run it."""
    feed = RecordedFeed(read_frames(frames))
    values = asyncio.run(_values(feed, config))
    settings = load(config)
    producer = Producer(producer_options(settings.kafka, "limit"))
    delivered = 0

    def on_delivery(error: object, _message: object) -> None:
        nonlocal delivered
        delivered += error is None

    key, partition = INSTRUMENT.encode(), partition_of(INSTRUMENT, settings.topics.partitions)
    producer.list_topics(topic)

    def work() -> None:
        produce = producer.produce
        for number, value in enumerate(values):
            while True:
                try:
                    produce(topic, value, key, partition, on_delivery)
                except BufferError:
                    producer.poll(0.01)
                else:
                    break
            if number % _RECORDS_PER_POLL == 0:
                producer.poll(0)
        producer.flush()

    figures_of(work, lambda: delivered)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
