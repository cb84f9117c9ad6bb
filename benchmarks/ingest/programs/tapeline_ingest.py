"""Our ingest as the service runs it, on recorded frames: CONFIG FRAMES; prints its figures as JSON.

FRAMES `endless:LOAD` are the load's frames again and again until SIGTERM, of which the number taken is told each second on
standard error.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from benchmarks.ingest.frames import LOADS, recorded, repeated
from benchmarks.ingest.programs.recorded import RecordedFeed, figures_of, read_frames
from ingest.publisher import CHECK, Publisher
from ingest.pump import run_feeds
from ingest.service import open_publisher
from runtime.health import Health
from runtime.memory import spare_the_collector
from runtime.settings import load

_ENDLESS = "endless:"


async def _run(feed: RecordedFeed, publisher: Publisher, health: Health, stop: asyncio.Event) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_feeds([feed], publisher, stop, health)


async def _run_endlessly(feed: RecordedFeed, publisher: Publisher, health: Health) -> None:
    stop = asyncio.Event()
    telling = asyncio.create_task(_tell(feed))
    await _run(feed, publisher, health, stop)
    telling.cancel()


async def _tell(feed: RecordedFeed) -> None:
    while True:
        await asyncio.sleep(0.5)
        sys.stderr.write(f"{feed.frames}\n")


def main(config: Path, source: str) -> None:
    """Run it."""
    health = Health([CHECK, "recorded"])
    publisher = open_publisher(load(config), health)
    spare_the_collector()  # as the service does
    if source.startswith(_ENDLESS):
        frames = repeated(recorded(LOADS[source.removeprefix(_ENDLESS)]))
        asyncio.run(_run_endlessly(RecordedFeed(frames), publisher, health))
        return
    feed = RecordedFeed(read_frames(Path(source)))
    figures_of(
        lambda: asyncio.run(_run(feed, publisher, health, asyncio.Event())),
        lambda: sum(publisher.counts.delivered[topic] for topic in ("md.trades", "md.quotes")),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
