"""Hands records that cannot be stored to the dead-letter topic, and waits until the brokers have them.

A record counts as dealt with only after its letter is acknowledged. A letter may be written again when the worker dies, or
its store fails, before the offset behind it is stored: letters come at least once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException, Producer

from market.dead_letter import DeadLetter, fit
from market.errors import DataPublishError
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.topics import DEAD_LETTERS
from sinks.store import KafkaRecord

STAGE = "sinks"


class LettersUndelivered(DataPublishError):
    """The dead-letter topic cannot be written; try again later."""


def dead_letter(source: KafkaRecord, reason: str, error: str, field: str | None, failed_at: int) -> DeadLetter:
    """The letter of a record, cut to what the topic takes. `failed_at` in microseconds."""
    letter = DeadLetter(
        source=source.topic,
        source_partition=source.partition,
        source_offset=source.offset,
        stage=STAGE,
        reason=reason,
        error=error,
        field=field,
        key=source.key,
        value=source.value,
        truncated=False,
        failed_at=failed_at,
    )
    return fit(letter)


class DeadLetters:
    """Writes letters. `options` are librdkafka's for an idempotent producer; `timeout` in seconds."""

    def __init__(self, options: Mapping[str, Any], encode: Callable[[str, Record], bytes], *, timeout: float = 5.0) -> None:
        self._options = dict(options) | {"message.max.bytes": DEAD_LETTERS.max_message_bytes}
        self._encode = encode
        self._timeout = timeout
        self._producer: Producer | None = None

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Write letters and wait for the brokers' word on each. Raises LettersUndelivered unless all are written."""
        missing = [f"no word within {self._timeout:g} s"] * len(letters)
        producer = self._producer = self._producer or Producer(self._options)
        try:
            for number, letter in enumerate(letters):
                self._produce(producer, letter, missing, number)
            self._wait(producer, missing)
        except (KafkaException, BufferError) as error:
            missing = [str(error)]
        reasons = [reason for reason in missing if reason]
        if reasons:
            self._give_up(producer)
            raise LettersUndelivered(f"dead-letter topic {DEAD_LETTERS.name}: {reasons[0]}")

    def _produce(self, producer: Producer, letter: DeadLetter, missing: list[str], number: int) -> None:
        def note(error: object, _message: object) -> None:
            missing[number] = str(error) if error else ""

        key, partition_id = DEAD_LETTERS.place(letter)
        producer.produce(
            DEAD_LETTERS.name,
            value=self._encode(DEAD_LETTERS.name, letter),
            key=key,
            partition=partition_of(partition_id, DEAD_LETTERS.partitions(1)),
            on_delivery=note,
        )

    def _wait(self, producer: Producer, missing: list[str]) -> None:
        deadline = time.monotonic() + self._timeout
        while len(producer) and (left := deadline - time.monotonic()) > 0:
            producer.poll(left)

    def _give_up(self, producer: Producer) -> None:
        """Forget what is still under way; the letters are written anew, by a new producer."""
        producer.purge()
        self._producer = None
