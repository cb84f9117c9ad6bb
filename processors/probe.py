"""Looks at a worker from outside: is the broker there, are the tables, does every partition get ahead."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException

from processors.metrics import RECOVERY_REMAINING
from processors.waiting import places_of
from processors.watchdog import Place, Position, Watchdog
from runtime import metrics
from runtime.health import Health
from runtime.logs import get_logger

log = get_logger(__name__)

WAITED_FOR = frozenset({"registry", "deliveries"})
"""Checks of a worker's health whose failing is a known reason why it does not get ahead."""


class WorkerFailed(Exception):
    """The worker ended by itself, or no longer gets ahead."""

    exit_code = 1


@dataclass(slots=True)
class Probe:
    """Turns readiness false while the broker does not answer or tables are rebuilt, and notices a stall.

    `positions` asks the broker for those of this worker's partitions of `topics`; it may block.
    """

    app: Any
    topics: Collection[str]
    health: Health
    watchdog: Watchdog
    recovery_watchdog: Watchdog
    positions: Callable[[list[Place]], Mapping[Place, Position]]
    clock: Callable[[], float] = time.monotonic
    _shown: set[Place] = field(default_factory=set)

    async def look(self) -> None:
        """Look once. Raises WorkerFailed when a partition is stalled."""
        mine = sorted(Place(*tp) for tp in self.app.consumer.assignment() if tp.topic in self.topics)
        left, is_recovering = self._look_at_tables(), self.app.tables.recovery.in_recovery
        try:
            positions = await asyncio.to_thread(self.positions, mine)
        except KafkaException as error:
            self.health.not_ready("kafka", str(error.args[0]))
            self.watchdog.excuse()
            self.recovery_watchdog.excuse()
            return
        self.health.ready("kafka")
        self._show_lag(positions)
        if is_recovering:
            self.watchdog.excuse()
            self._check_recovery(left)
            return
        self.recovery_watchdog.excuse()
        if WAITED_FOR & self.health.reasons().keys():
            self.watchdog.excuse()
        elif stalled := self.watchdog.stalled(positions, self.clock()):
            names = ", ".join(map(str, stalled))
            tasks = asyncio.all_tasks() | asyncio.all_tasks(self.app.consumer.thread_loop)
            log.error("the tasks of a worker that does not get ahead", waiting=places_of(tasks))
            raise WorkerFailed(f"{names}: records are waiting and the position has not moved: ending to be restarted")

    def _check_recovery(self, left: int) -> None:
        if self.recovery_watchdog.stalled({Place("", 0): Position(-left, -left, 0)}, self.clock()):
            raise WorkerFailed(f"of {left:,} changelog records left to read none has come for long: ending to be restarted")

    def _look_at_tables(self) -> int:
        """Show how far the tables are from complete: so many changelog records are left to read."""
        recovery = self.app.tables.recovery
        left = remaining(recovery)
        for table, count in left.items():
            RECOVERY_REMAINING.labels(table).set(count)
        if not (self.app.rebalancing or recovery.in_recovery):
            self.health.ready("tables")
        elif total := left.total():
            self.health.not_ready("tables", f"{total:,} changelog records left to read")
        else:
            self.health.not_ready("tables", "partitions are being shared out or their tables rebuilt")
        return left.total()

    def _show_lag(self, positions: Mapping[Place, Position]) -> None:
        for place in self._shown - positions.keys():
            metrics.CONSUMER_LAG.remove(*place)  # another worker's now, which shows it
        for place, position in positions.items():
            metrics.CONSUMER_LAG.labels(*place).set(position.lag)
        self._shown = set(positions)


def remaining(recovery: Any) -> Counter[str]:
    """Changelog offsets that Faust has left to read, for each table it knows; of a table just assigned none is known yet."""
    left = Counter({table.name: 0 for table in recovery.tp_to_table.values()})
    for tp in recovery.active_tps & recovery.active_highwaters.keys():
        if (offset := recovery.active_offsets[tp]) is not None:
            left[recovery.tp_to_table[tp].name] += max(0, recovery.active_highwaters[tp] - offset)
    return left
