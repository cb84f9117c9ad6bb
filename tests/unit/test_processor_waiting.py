"""What is told of tasks that wait."""

from __future__ import annotations

import asyncio

import pytest

from processors.waiting import places_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def inner(never: asyncio.Event) -> None:
    await never.wait()


async def outer(never: asyncio.Event) -> None:
    await inner(never)


async def test_tasks_are_told_by_where_they_wait() -> None:
    never = asyncio.Event()
    tasks = [asyncio.create_task(outer(never)) for _ in range(2)]
    await asyncio.sleep(0)
    (told,) = places_of(tasks)
    places = [place.split(":")[0] + place.split(" ")[-1] for place in told.removesuffix(" (2 times)").split(" < ")]
    assert places[:3] == ["locks.pywait", "test_processor_waiting.pyinner", "test_processor_waiting.pyouter"]
    assert told.endswith(" (2 times)")
    never.set()
    await asyncio.gather(*tasks)
    assert places_of(tasks) == []
