"""Reading commands: none is lost while the registry is away, and whoever follows them does not end unseen."""

import asyncio
from typing import Any

import pytest

from ingest.control_topic import Commands
from ingest.service import beside
from market.control import ControlAction, ControlCommand
from market.errors import DataValidationError
from schemas.codec import Codec
from schemas.registry import RegistryUnreachable
from schemas.topics import CONTROL
from tests.builders import START
from tests.ingest_parts import IDS

FIRST = ControlCommand("1", "binance", ControlAction.STOP, (), (), "ann", "a test", START)
SECOND = FIRST._replace(command_id="2", action=ControlAction.START)


class Message:
    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def error(self) -> None:
        return None

    def value(self) -> bytes | None:
        return self._value


class Log:
    """A consumer of given values, each once."""

    def __init__(self, *values: bytes | None) -> None:
        self.values = list(values)

    def assign(self, partitions: Any) -> None:
        """All there is."""

    def consume(self, most: int, timeout: float) -> list[Message]:
        found, self.values = self.values, []
        return [Message(value) for value in found]


def test_commands_wait_while_the_registry_is_away() -> None:
    codec, is_away = Codec({(CONTROL.name, ControlCommand): 99, **IDS}, lambda _id: None), True
    known = codec.decode

    def decode(data: bytes | None) -> Any:
        if is_away and data == second:
            raise RegistryUnreachable("away")
        return known(data)

    first, second = codec.encode(CONTROL.name, FIRST), codec.encode(CONTROL.name, SECOND)
    codec.decode = decode  # type: ignore[method-assign]  # a registry that comes and goes
    log = Log(first, b"no command", second)
    commands = Commands({}, codec, make_consumer=lambda _options: log)  # type: ignore[arg-type,return-value]  # it does what is used
    found = commands()
    assert found[0] == FIRST
    assert isinstance(found[1], DataValidationError)
    assert len(found) == 2
    log.values.append(first)
    assert commands() == []
    is_away = False
    assert commands() == [SECOND, FIRST]
    assert commands() == []


def test_helper_that_fails_ends_the_work_and_is_raised() -> None:
    async def fail() -> None:
        raise RuntimeError("no more commands")

    async def main() -> None:
        stop = asyncio.Event()
        async with asyncio.timeout(5):
            await beside(fail(), stop.wait(), stop)

    with pytest.raises(RuntimeError, match="no more commands"):
        asyncio.run(main())


def test_helper_ends_with_the_work() -> None:
    async def main() -> bool:
        helped = asyncio.Event()

        async def help_on() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                helped.set()

        async def work() -> None:
            await asyncio.sleep(0)

        await beside(help_on(), work(), asyncio.Event())
        return helped.is_set()

    assert asyncio.run(main())
