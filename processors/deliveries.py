"""Records out of the processors, each acknowledged by the broker before anything that depends on it.

Delivery reports are counted, never flushed: a round of records is done when its count has come down to zero, while the client
library goes on sending in its own thread. A record that was not delivered in time is sent again, the same bytes, as soon as
the fence lets it through; a duplicate that arises so is told by its version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from processors.fence import Fence
from runtime.logs import get_logger

log = get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.0005, 0.004
"""Seconds between two looks for delivery reports."""

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


class Message(NamedTuple):
    """A record on its way out."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


Offsets = dict[tuple[str, int], int]
"""Highest offset given by the broker, by topic and partition."""


@dataclass(slots=True)
class _Round:
    left: int = 0
    offsets: Offsets = field(default_factory=dict)
    failed: list[tuple[Message, KafkaError]] = field(default_factory=list)


class Deliveries:
    """Sends rounds of records through one librdkafka producer."""

    def __init__(self, producer: Producer, fence: Fence, on_failing: Callable[[str | None], None]) -> None:
        self._producer = producer
        self._fence = fence
        self._on_failing = on_failing

    async def send(self, messages: Sequence[Message], generation: int) -> Offsets:
        """Send records for a generation and return when the broker has acknowledged all of them, however long it takes.

        Raises Superseded when the partitions have been shared out anew meanwhile, DeliveryFailed where no retry can help.
        """
        offsets: Offsets = {}
        while messages:
            await self._fence.passed(generation)
            done = await self._attempt(messages)
            for place, offset in done.offsets.items():
                offsets[place] = max(offset, offsets.get(place, -1))
            messages = [message for message, _ in done.failed]
            if done.failed:
                await self._before_retry(done.failed)
            else:
                self._on_failing(None)
        return offsets

    async def _attempt(self, messages: Sequence[Message]) -> _Round:
        current = _Round(len(messages))
        for message in messages:
            while not self._is_produced(message, current):
                self._producer.poll(0)
                await asyncio.sleep(LONGEST_PAUSE)
        pause = FIRST_PAUSE
        self._producer.poll(0)
        while current.left:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self._producer.poll(0)
        return current

    def _is_produced(self, message: Message, current: _Round) -> bool:
        """Give a record to the library; False when its queue is full."""

        def report(error: KafkaError | None, delivered: Any) -> None:
            current.left -= 1
            if error is not None:
                current.failed.append((message, error))
                return
            place, offset = (message.topic, message.partition), delivered.offset()
            if offset > current.offsets.get(place, -1):
                current.offsets[place] = offset

        try:
            self._producer.produce(message.topic, message.value, message.key, message.partition, report)
        except BufferError:
            return False
        except KafkaException as error:  # what the library knows of the topic already
            report(error.args[0], None)
        return True

    async def _before_retry(self, failed: Sequence[tuple[Message, KafkaError]]) -> None:
        message, error = failed[0]
        text = f"{len(failed)} records not delivered, the first to {message.topic}[{message.partition}]: {error.str()}"
        if hopeless := [one for one in failed if one[1].fatal() or one[1].code() in _HOPELESS]:
            message, error = hopeless[0]
            raise DeliveryFailed(f"{message.topic}[{message.partition}]: {error.str()}")
        log.warning("sending again what was not delivered", error=text)
        self._on_failing(text)
        await asyncio.sleep(RETRY_SECONDS)
