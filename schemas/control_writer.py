"""Writes the commands of `ops.control`, for all who give some: the command line and the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer

from market.control import ControlCommand
from market.errors import DataPublishError
from schemas.codec import Codec
from schemas.topics import CONTROL

DELIVERY_SECONDS = 10.0


def send(command: ControlCommand, options: Mapping[str, Any], codec: Codec, delivery_seconds: float = DELIVERY_SECONDS) -> None:
    """Hand a command to the broker and wait until it has it. Raises DataPublishError."""
    key, _ = CONTROL.place(command)
    producer, failures = Producer(dict(options)), list[str]()
    try:
        producer.produce(
            CONTROL.name,
            codec.encode(CONTROL.name, command),
            key,
            0,
            lambda error, _message: failures.append(error.str()) if error is not None else None,
        )
    except KafkaException as error:
        failures.append(error.args[0].str())
    if producer.flush(delivery_seconds) or failures:
        raise DataPublishError(f"the command was not delivered: {', '.join(failures) or 'the broker does not answer'}")
