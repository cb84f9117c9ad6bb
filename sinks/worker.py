"""Turns the loop of a sink: read, collect, write, over and over; one thread, one batch at a time.

What stands where: the store's offsets are the truth. A batch is first cleared of what cannot be stored (the dead-letter
topic acknowledges it), then written with its offsets in one transaction; only then, and only for those who watch the lag,
the group's offsets follow. When a part it depends on fails, the worker drops what it has in memory, says that it is not ready
and why, keeps its membership of the group, and after a delay begins again at the store's offsets. What it cannot mend by
waiting ends it: OffsetConflict, RecordsLost, StoreUnfit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from market.dead_letter import DeadLetter
from market.errors import DataValidationError
from runtime.health import Health
from runtime.logs import get_logger
from runtime.retry import Backoff
from schemas.registry import RegistryError
from sinks.batching import Accumulator, Limits
from sinks.dead_letters import DeadLetters, LettersUndelivered, dead_letter
from sinks.intake import BrokerUnavailable, Intake
from sinks.metrics import Figures
from sinks.store import Batch, Entry, KafkaRecord, Partition, RecordRefused, Store, StoredOffset, StoreUnavailable

__all__ = ["CHECKS", "SinkWorker"]

CHECKS = ("kafka", "registry", "store", "dead_letters")
"""Names of what readiness depends on."""

_PARTS: Mapping[type[Exception], str] = {
    StoreUnavailable: "store",
    BrokerUnavailable: "kafka",
    RegistryError: "registry",
    LettersUndelivered: "dead_letters",
}
_OUTAGES = tuple(_PARTS)
_LONGEST_WAIT = 0.25  # seconds until a stop is noticed
_AT_ONCE = 1_000  # records taken at hand between two looks at how many bytes they are
_ASK_STORE_AFTER = 5.0  # seconds without a batch; else a store lost while the market sleeps would pass for a good one

log = get_logger(__name__)


class SinkWorker:
    """Keeps one store in step with its topics: `open`, then `run`, then `close`.

    `translate` makes rows of records (`sinks.translation`); `health` has the checks CHECKS; `clock` is monotonic, in
    seconds, and `now` the wall clock in microseconds.
    """

    def __init__(
        self,
        store: Store,
        intake: Intake,
        letters: DeadLetters,
        translate: Callable[[KafkaRecord], Entry | None],
        *,
        health: Health,
        limits: Limits,
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self._store = store
        self._intake = intake
        self._letters = letters
        self._translate = translate
        self._health = health
        self._backoff = backoff
        self._clock = clock
        self._now = now
        self._collected = Accumulator(limits)
        self._polled: deque[KafkaRecord] = deque()
        self._refused: list[DeadLetter] = []
        self._failures = 0
        self._resume_at = 0.0
        self._ask_store_at = 0.0
        self._figures = Figures(store.name)

    def run(self, is_stopping: Callable[[], bool]) -> None:
        """Work until told to stop; then write what is collected, if the store takes it at once."""
        while not is_stopping():
            self.step()
        self._finish()

    def open(self) -> None:
        """Connect. Raises StoreUnavailable or StoreUnfit: a start does not wait for a store."""
        self._store.open()
        self._intake.open()

    def close(self) -> None:
        """Leave the group and the store; what is collected is dropped."""
        self._intake.close()
        self._store.close()

    def step(self) -> None:
        """One turn: some waiting for records, or one batch written. Raises what waiting cannot mend."""
        self._health.beat()
        try:
            if self._clock() < self._resume_at:
                self._intake.poll(1, _LONGEST_WAIT)
            else:
                self._turn()
                self._recover()
        except _OUTAGES as outage:
            self._suspend(outage)

    # a turn

    def _turn(self) -> None:
        self._intake.check()
        if self._intake.is_waiting:
            self._begin()
        since = self._clock()
        if not self._polled:
            self._poll(self._collected.lacking, min(self._collected.patience(since), _LONGEST_WAIT))
        self._take_polled(since)
        if self._collected.is_due(self._clock()):
            self._take_at_hand(since)
            self._write()
        elif self._collected.is_empty and self._clock() >= self._ask_store_at:
            self._stored_offsets()

    def _stored_offsets(self) -> Mapping[Partition, StoredOffset]:
        offsets = self._store.offsets(self._intake.given)
        self._ask_store_at = self._clock() + _ASK_STORE_AFTER
        return offsets

    def _begin(self) -> None:
        places = self._intake.begin(self._stored_offsets())
        self._collected.begin(places)
        log.info("reading", partitions={f"{topic}[{number}]": where.offset for (topic, number), where in places.items()})

    def _poll(self, most: int, timeout: float) -> None:
        records = self._intake.poll(most, timeout)
        if self._intake.rebalanced:
            self._forget()
        self._polled.extend(records)

    def _take_at_hand(self, since: float) -> None:
        """Catch up: take along what has come already. A batch that is tried again is no larger than it must be."""
        while not (self._polled or self._failures) and (room := self._collected.room):
            self._poll(min(room, _AT_ONCE), 0.0)
            if not self._polled:
                return
            self._take_polled(since)

    def _take_polled(self, since: float) -> None:
        while self._polled and self._collected.room:
            self._take(self._polled.popleft(), since)

    def _take(self, source: KafkaRecord, since: float) -> None:
        if not self._collected.owns(source):
            return
        entry = None
        try:
            entry = self._translate(source)
        except DataValidationError as error:
            self._refuse(source, error.reason, str(error), error.field)
        self._collected.add(source, entry, since)

    def _refuse(self, source: KafkaRecord, reason: str, error: str, field: str | None) -> None:
        self._refused.append(dead_letter(source, reason, error, field, self._now()))

    def _forget(self) -> None:
        """Drop everything in memory; the store's offsets are behind all of it."""
        self._collected.begin({})
        self._polled.clear()
        self._refused.clear()

    # a batch

    def _write(self) -> None:
        batch = self._collected.batch()
        while batch is not None:
            self._health.beat()  # many refused records make many attempts
            self._send_letters()
            try:
                self._store_batch(batch)
            except RecordRefused as refusal:
                self._collected.refuse(refusal.entry)
                self._refuse(refusal.entry.source, "refused_by_store", refusal.error, refusal.field)
            batch = self._collected.batch()

    def _store_batch(self, batch: Batch) -> None:
        began = self._clock()
        changed = self._store.write(batch)
        seconds = self._clock() - began
        self._ask_store_at = self._clock() + _ASK_STORE_AFTER
        self._collected.settle()
        settled = {key: advance.after for key, advance in batch.advances.items()}
        self._intake.acknowledge(settled)
        self._figures.stored(batch, changed, seconds, self._now())
        self._figures.lags(self._intake.lags(settled))

    def _send_letters(self) -> None:
        if self._refused:
            self._letters.send(self._refused)
            self._figures.refused(self._refused)
            self._refused.clear()

    def _finish(self) -> None:
        if self._failures == 0:
            try:
                self._write()
            except _OUTAGES as outage:
                log.warning("the last batch is dropped, it is read again at the next start", reason=str(outage))

    # outages

    def _suspend(self, outage: Exception) -> None:
        self._forget()
        self._intake.halt()
        delay = getattr(outage, "retry_after", None)
        delay = self._backoff.delay(self._failures) if delay is None else delay
        self._failures += 1
        self._resume_at = self._clock() + delay
        part = _PARTS[next(kind for kind in _PARTS if isinstance(outage, kind))]
        self._health.not_ready(part, str(outage))
        self._figures.outage(part)
        log.warning("waiting", part=part, reason=str(outage), attempt=self._failures, retry_seconds=round(delay, 3))

    def _recover(self) -> None:
        """A turn went well; while records are collected the store still has to show that it takes them."""
        if not self._collected.is_empty:
            return
        if self._failures:
            log.info("going on", after_attempts=self._failures)
            self._failures = 0
        for part in CHECKS:
            self._health.ready(part)
        if not self._intake.is_member:
            self._health.not_ready("kafka", "the group has not given partitions yet")
