"""Hands commands to the broker, on the partition of their portfolio, and says of each whether it arrived."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from gateway.refusals import ErrorCode, Refusal
from market.portfolio_commands import Command
from runtime import metrics
from runtime.logs import get_logger
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.topics import COMMANDS

log = get_logger(__name__)

Failed = Callable[[Refusal], None]
"""Told, on the event loop, when a command did not arrive or nobody knows whether it did."""

DELIVERY_SECONDS = 3.0
"""How long the broker has to take a command; more than to elect another leader is not waited for."""

QUEUE_BYTES = 8 << 20

_POLL_SECONDS = 0.1
_END_SECONDS = 2.0


class CommandProducer:
    """An idempotent producer with a thread of its own, for as long as it is entered.

    `options` as `runtime.kafka.producer_options` gives them; `partitions` of the topics kept by instrument or portfolio.
    """

    def __init__(self, options: Mapping[str, Any], codec: Codec, partitions: int) -> None:
        self._options = dict(options)
        self._codec = codec
        self._partitions = partitions
        self._stop = threading.Event()
        self._producer = Producer(self._options)
        self._thread = threading.Thread(target=self._poll, name="commands", daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush(_END_SECONDS)

    def send(self, command: Command, failed: Failed) -> None:
        """Hand a command over. Raises Refusal when there is no room, DataValidationError for what its schema cannot hold."""
        key, partition_id = COMMANDS.place(command)

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                log.warning("a command was not delivered", command_id=command.command_id, error=error.str())
                self._tell(failed)

        value = self._codec.encode(COMMANDS.name, command)
        partition = partition_of(partition_id, self._partitions)
        try:
            self._producer.produce(COMMANDS.name, value, key, partition, on_delivery=delivered)
        except (BufferError, KafkaException) as error:
            if isinstance(error, KafkaException) and error.args[0].fatal():
                log.error("the producer of commands has broken down, it begins anew", error=error.args[0].str())
                self._producer = Producer(self._options)
            raise unavailable() from error
        metrics.RECORDS_OUT.labels(COMMANDS.name).inc()

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(_POLL_SECONDS)

    def _tell(self, failed: Failed) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(failed, unavailable())


def unavailable() -> Refusal:
    """What is said of a command that the broker did not confirm."""
    return Refusal(
        ErrorCode.BROKER_UNAVAILABLE,
        "the broker did not confirm the command; sent again with the same id it is done once at most",
    )
