"""Records out of the processors, each acknowledged by the broker before anything that depends on it.

Delivery reports are counted, never flushed: a round of records is done when its count has come down to zero, while the client
library goes on sending in its own thread. A record that was not delivered in time is sent again, the same bytes, as soon as
the fence lets it through; a duplicate that arises so is told by its version.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from processors.fence import Fence
from processors.outputs import Message
from runtime.logs import get_logger

log = get_logger(__name__)

PAUSE, LONG_PAUSE, SOON = 0.0007, 0.01, 0.1
"""Seconds between two looks for delivery reports; the long pause when they do not come soon."""

AT_ONCE = 128
"""Records handed to the library before others have their turn: who waits for a result does not wait for a large changelog."""

RETRY_SECONDS = 1.0
"""Pause before records are sent again whose delivery failed."""

_HOPELESS = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_RECORD,
    KafkaError._FATAL,  # noqa: SLF001 - public names of librdkafka
    KafkaError._INVALID_ARG,  # noqa: SLF001
}


class DeliveryFailed(Exception):
    """A record can never be delivered as it is."""


Offsets = dict[tuple[str, int], int]
"""Highest offset given by the broker, by topic and partition."""


Report = Callable[[KafkaError | None, Any], None]


@dataclass(slots=True)
class _Round:
    """Records under way.

    A report says of which topic and partition it is, not of which record: a function for each record costs more than all else
    that Python does to send it. A record that failed is known by its bytes.
    """

    left: int
    offsets: Offsets = field(default_factory=dict)
    failed: dict[int, KafkaError] = field(default_factory=dict)  # by the message's place in the round
    undelivered: list[tuple[Message, KafkaError]] = field(default_factory=list)
    reports: dict[tuple[str, int], Report] = field(default_factory=dict)

    def report_on(self, topic: str, partition: int) -> Report:
        """What the library is to call for a record of this topic and partition."""
        place = topic, partition
        found = self.reports.get(place)
        if found is None:
            found = self.reports[place] = self._make_report(place)
        return found

    def _make_report(self, place: tuple[str, int]) -> Report:
        def report(error: KafkaError | None, delivered: Any) -> None:
            self.left -= 1
            if error is not None:
                self.undelivered.append((Message(*place, delivered.key(), delivered.value()), error))
                return
            offset = delivered.offset()
            if offset is not None and offset > self.offsets.get(place, -1):  # none: a retry of what was there already
                self.offsets[place] = offset

        return report

    def find_failed(self, messages: Sequence[Message]) -> None:
        """Find the places of what was not delivered; of equal records the first, since those behind it are sent again, too."""
        numbers: dict[Message, list[int]] = {}
        for number in reversed(range(len(messages)) if self.undelivered else ()):
            if number not in self.failed:
                numbers.setdefault(messages[number], []).append(number)
        for message, error in self.undelivered:
            self.failed[numbers[message].pop()] = error


class Deliveries:
    """Sends rounds of records through one librdkafka producer."""

    def __init__(self, producer: Producer, fence: Fence, on_failing: Callable[[str | None], None]) -> None:
        self._producer = producer
        self._fence = fence
        self._on_failing = on_failing
        self._failing: set[object] = set()  # of several sends under way

    async def send(self, messages: Sequence[Message], generation: int) -> Offsets:
        """Send records for a generation and return when the broker has acknowledged all of them, however long it takes.

        Raises Superseded when the partitions have been shared out anew meanwhile, DeliveryFailed where no retry can help.
        """
        offsets: Offsets = {}
        this = object()
        try:
            while messages:
                done = await self._attempt(messages, generation)
                for place, offset in done.offsets.items():
                    offsets[place] = max(offset, offsets.get(place, -1))
                if done.failed:
                    self._failing.add(this)
                    await self._before_retry(messages, done.failed)
                messages = to_repeat(messages, done.failed)
        finally:
            self._failing.discard(this)
            if not self._failing:
                self._on_failing(None)
        return offsets

    async def _attempt(self, messages: Sequence[Message], generation: int) -> _Round:
        current = _Round(len(messages))
        for number, message in enumerate(messages):
            if number % AT_ONCE == 0:
                if number:
                    await asyncio.sleep(0)
                await self._fence.passed(generation)
            while not self._is_produced(message, number, current):
                self._producer.poll(0)
                await asyncio.sleep(LONG_PAUSE)
                await self._fence.passed(generation)
        self._producer.poll(0)
        produced_at = time.monotonic()
        while current.left:
            await asyncio.sleep(PAUSE if time.monotonic() - produced_at < SOON else LONG_PAUSE)
            self._producer.poll(0)
        current.find_failed(messages)
        return current

    def _is_produced(self, message: Message, number: int, current: _Round) -> bool:
        """Give a record to the library; False when its queue is full."""
        topic, partition, key, value = message
        try:
            self._producer.produce(topic, value, key, partition, current.report_on(topic, partition))
        except BufferError:
            return False
        except KafkaException as error:  # what the library knows of the topic already
            current.left -= 1
            current.failed[number] = error.args[0]
        return True

    async def _before_retry(self, messages: Sequence[Message], failed: Mapping[int, KafkaError]) -> None:
        number, error = next(((number, error) for number, error in failed.items() if is_hopeless(error)), (-1, None))
        if error is not None:
            raise DeliveryFailed(f"{messages[number].topic}[{messages[number].partition}]: {error.str()}")
        number, error = next(iter(failed.items()))
        first = f"{messages[number].topic}[{messages[number].partition}]: {error.str()}"
        text = f"{len(failed)} records not delivered, the first to {first}"
        log.warning("sending again what was not delivered", error=text)
        self._on_failing(text)
        await asyncio.sleep(RETRY_SECONDS)


def to_repeat(messages: Sequence[Message], failed: Collection[int]) -> list[Message]:
    """What is sent again: the failed ones, and those behind them with the same key, or an older version would come last."""
    begun: set[tuple[str, int, bytes | None]] = set()
    found = []
    for number, message in enumerate(messages) if failed else ():
        if number in failed or message[:3] in begun:
            begun.add(message[:3])
            found.append(message)
    return found


def is_hopeless(error: KafkaError) -> bool:
    """Whether no retry can help."""
    return error.fatal() or error.code() in _HOPELESS
