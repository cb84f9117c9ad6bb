"""What clients that are gone leave in memory: the garbage collector looks too seldom to rely on it."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import background
from gateway.admission import Visitor
from gateway.clients import TokenEnds
from gateway.identity import Grants, Principal
from gateway.quotas import ADDRESS, Usage
from tests.builders import INSTRUMENT, START
from tests.gateway_parts import HandTurnedLoop, Listener, make_hub


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def expiring_visitor() -> Visitor:
    visitor = Visitor(Usage("address", ADDRESS))
    visitor.principal = Principal("someone", "key", Grants(symbols=frozenset("*"), data_types=frozenset("*")), START + 10**12)
    return visitor


@pytest.mark.usefixtures("without_collector")
def test_client_that_is_gone_is_freed_at_once() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub, visitor=expiring_visitor())
    listener.say(action="subscribe", symbol=INSTRUMENT, data_types=["QUOTE", "TRADE"])
    loop.settle()
    parts: list[weakref.ref[Any]] = [weakref.ref(listener.client), weakref.ref(listener.client.session)]
    assert all(part() is not None for part in parts)
    hub.disconnect(listener.client)
    del listener.client
    assert [part() for part in parts] == [None, None]


def test_end_of_a_token_is_known_only_of_clients_that_are_there() -> None:
    hub, ends = make_hub(HandTurnedLoop()), TokenEnds()
    here, gone = (Listener(hub, name, expiring_visitor()) for name in ("here", "gone"))
    for listener in (here, gone):
        ends.watch(listener.client, [])
    hub.disconnect(gone.client)
    del gone.client
    assert list(ends.due(START + 10**12)) == [here.client]
    assert len(ends) == 0


@pytest.mark.parametrize(("opened", "collections"), [(background.GONE - 1, 0), (background.GONE, 1)])
def test_collector_looks_once_after_many_have_gone(opened: int, collections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, looked, seconds = make_hub(HandTurnedLoop()), list[None](), iter(range(3))
    hub.traffic.opened = opened

    async def sleep(_seconds: float) -> None:
        if next(seconds, None) is None:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(gc, "collect", lambda: looked.append(None))
    watching: Any = background.watch_time(hub, lambda: START)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(watching)
    assert len(looked) == collections
