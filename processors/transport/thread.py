"""Faust's consumer thread with a paced fetch, and with a memory of when the group last heard of this worker.

The broker paces the fetch. Under load a fetch waits a few milliseconds for many records, so that a busy topic costs few
requests; an idle one waits long and is ended by the first record there is, so that it costs nothing and delays nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver

from processors.transport import FAUST_LOGGER


class Pace(NamedTuple):
    """How long a fetch waits on the broker, and for how many bytes."""

    wait_ms: int
    bytes: int


IDLE = Pace(1_500, 1)


class Fetched(dict[Any, Any]):
    """Records by partition, and the generation in which they were fetched, as `BatchConsumer` counts it."""

    def __init__(self, records: Mapping[Any, Any], generation: int) -> None:
        super().__init__(records)
        self.generation = generation


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no type hints for its callers
    """The thread that speaks to the brokers."""

    logger = FAUST_LOGGER

    heartbeat_at = float("-inf")
    """When the last heartbeat was sent that the group answered well (monotonic clock)."""

    async def on_start(self) -> None:
        """Connect, and take note of the heartbeats."""
        await super().on_start()
        coordinator = self._consumer._coordinator
        coordinator._do_heartbeat = self._noting(coordinator._do_heartbeat)

    def _noting(self, beat: Any) -> Any:
        async def noting() -> bool:
            sent_at = time.monotonic()
            is_answered = bool(await beat())
            if is_answered:
                self.heartbeat_at = sent_at
            return is_answered

        return noting

    async def beat(self) -> None:
        """Send a heartbeat between the regular ones."""
        await self._consumer._coordinator._do_heartbeat()

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Fetched:
        # The generation is read in the thread that sets it, when the records are there: a fetch begun in one generation may
        # end in the next, behind the positions that recovery has sought by then. Nobody would ask for these records again.
        found = Fetched(await super()._fetch_records(consumer, *args, **kwargs), self.app.rebalancing_count)
        if self.app.rebalancing:
            self._put_back(found, consumer._fetcher)
        fetcher, pace = consumer._fetcher, self.consumer.transport.busy if found else IDLE
        fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = pace
        return found

    def _put_back(self, found: Fetched, fetcher: Any) -> None:
        """Take out what nobody reads before the rebalance is over, and have it fetched again.

        A fetch begun before a rebalance goes on through it, and may end when recovery has sought the partition already: nobody
        would ask for these records again. Nothing is awaited between the fetch and this, so that no seek comes in between.
        """
        for tp in [tp for tp in found if self.consumer.is_batched(tp)]:
            first = found.pop(tp)[0]
            with contextlib.suppress(IllegalStateError):  # no longer ours: whose it is reads from what is committed
                fetcher.seek_to(tp, first.start if self.consumer.transport.has_views else first.offset)


class RebalanceListener(driver.ConsumerRebalanceListener):  # type: ignore[misc]
    """Told by aiokafka when partitions are given and taken."""

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Make sure of the membership first: nothing is written before a heartbeat of the new generation was answered."""
        await self._thread.beat()
        await super().on_partitions_assigned(assigned)
