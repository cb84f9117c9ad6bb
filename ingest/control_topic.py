"""Reads the commands of `ops.control`; `schemas.control_writer` writes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from market.control import ControlCommand
from market.errors import DataValidationError
from runtime.logs import get_logger
from schemas.codec import Codec
from schemas.registry import RegistryError
from schemas.topics import CONTROL

log = get_logger(__name__)

_AT_ONCE = 100
_WAIT_SECONDS = 0.2


class Commands:
    """All commands that are kept, from the oldest on; call it for those that came since."""

    def __init__(
        self, options: Mapping[str, Any], codec: Codec, *, make_consumer: Callable[[dict[str, Any]], Consumer] = Consumer
    ) -> None:
        self._consumer = make_consumer(dict(options))
        self._waiting: deque[bytes | None] = deque()
        self._consumer.assign([TopicPartition(CONTROL.name, 0, OFFSET_BEGINNING)])
        self._codec = codec

    def __call__(self) -> Sequence[ControlCommand | DataValidationError]:
        """What came; it waits a moment. What is none of our commands is given as the error that says why.

        While the registry does not tell a schema that is needed, what came waits for the next call.
        """
        for message in self._consumer.consume(_AT_ONCE, _WAIT_SECONDS):
            error = message.error()
            if error is not None:
                log.warning("commands cannot be read", reason=error.str())  # the client goes on trying
            else:
                self._waiting.append(message.value())
        found: list[ControlCommand | DataValidationError] = []
        while self._waiting:
            try:
                record = self._codec.decode(self._waiting[0])
            except DataValidationError as fault:
                found.append(fault)
            except RegistryError as error:
                log.warning("commands wait for their schema", reason=str(error))
                break
            else:
                if isinstance(record, ControlCommand):
                    found.append(record)
            self._waiting.popleft()
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._consumer.close()
