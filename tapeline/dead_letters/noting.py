"""Writes notes on what is sent again into the dead-letter topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, Message, Producer

from market.dead_letter import LetterReplay
from market.errors import DataPublishError
from schemas.records import Record
from schemas.topics import DEAD_LETTERS

DELIVERY_SECONDS = 20.0
"""How long sending is tried. A first note without a second is taken for a dead run's after three times that."""


class NotTaken(DataPublishError):
    """The brokers did not take a record in time; another run goes on where this one ended."""

    exit_code = 1


def write_notes(producer: Producer, encode: Callable[[str, Record], bytes], notes: Iterable[LetterReplay]) -> None:
    """Write notes and wait for the brokers. Raises NotTaken."""
    errors: list[str] = []
    written = 0

    def keep(error: KafkaError | None, _message: Message) -> None:
        nonlocal written
        written += 1
        if error is not None:
            errors.append(error.str())

    count = 0
    for count, note in enumerate(notes, start=1):  # noqa: B007 - counts an iterable
        key, _ = DEAD_LETTERS.place(note)
        value = encode(DEAD_LETTERS.name, note)
        producer.produce(DEAD_LETTERS.name, key=key, value=value, partition=0, on_delivery=keep)
    producer.flush(DELIVERY_SECONDS * 2)
    if errors or written < count:
        reason = errors[0] if errors else f"no word within {DELIVERY_SECONDS:g} s"
        raise NotTaken(f"the topic {DEAD_LETTERS.name} does not take notes: {reason}")
