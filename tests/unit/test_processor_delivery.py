"""Acknowledgements that do not come: the worker must not wait for ever."""

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from processors.delivery import DeliveryTimedOut
from processors.outputs import Outputs
from processors.tables import AcknowledgedTable
from schemas.codec import Codec
from schemas.topics import TRADES
from tests.builders import make_trade

CODEC = Codec({(TRADES.name, type(make_trade())): 1}, lambda schema_id: None)
AT_ONCE = 0.0


class SilentProducer:
    """Takes records and never hears of them again; a blocked one does not even take them."""

    def __init__(self, *, is_blocked: bool = False) -> None:
        self.is_blocked = is_blocked

    async def send(self, *record: object) -> asyncio.Future[None]:
        never = asyncio.get_running_loop().create_future()
        if self.is_blocked:
            await never
        return never


async def bounded(waiting: Coroutine[Any, Any, None]) -> None:
    """Keeps a wait without end from being one of the test."""
    await asyncio.wait_for(waiting, 2)


@pytest.mark.parametrize("is_blocked", [False, True])
def test_outputs_that_are_not_acknowledged_in_time_fail(is_blocked: bool) -> None:
    outputs = Outputs(SilentProducer(is_blocked=is_blocked), CODEC, 4, lambda: 0, timeout=AT_ONCE)
    with pytest.raises(DeliveryTimedOut, match="outputs within 0 s"):
        asyncio.run(bounded(outputs.send([(TRADES, make_trade())])))


class SilentTable(dict[bytes, bytes]):
    """What a Faust table is to `apply`, with a changelog that is never acknowledged."""

    name = "candles"
    app = SimpleNamespace(conf=SimpleNamespace(producer_request_timeout=AT_ONCE))

    def __init__(self) -> None:
        super().__init__()
        self._unacknowledged: list[Any] = []

    def __setitem__(self, key: bytes, value: bytes) -> None:
        super().__setitem__(key, value)
        self._unacknowledged.append(asyncio.get_running_loop().create_future())


def test_table_writes_that_are_not_acknowledged_in_time_fail() -> None:
    table = SilentTable()
    with pytest.raises(DeliveryTimedOut, match="changelog of candles within 0 s"):
        asyncio.run(bounded(AcknowledgedTable.apply(cast("AcknowledgedTable", table), {"a:B": b"state"})))
