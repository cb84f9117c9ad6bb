"""Who may write: a worker whose membership in its group is certain."""

import asyncio

import pytest

from processors.fence import Fence, Superseded


class Membership:
    """What a test says it is."""

    generation: int | None = 4
    heartbeat_at = 100.0


class World:
    """A fence for sessions of 30 s, with a clock that the test sets."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.doubts: list[bool] = []
        self.membership = Membership()
        self.fence = Fence(self.membership, 30, self.doubts.append, lambda: self.now)


def test_writes_pass_while_the_last_heartbeat_is_younger_than_half_the_session() -> None:
    world = World(114.9)
    asyncio.run(world.fence.passed(4))
    assert world.doubts == []


def test_writes_wait_for_a_heartbeat_that_is_answered() -> None:
    async def main() -> None:
        world = World(115)
        waiting = asyncio.create_task(world.fence.passed(4))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (waiting.done(), world.doubts) == (False, [True])
        world.membership.heartbeat_at = 114.0
        await waiting
        assert world.doubts == [True, False]

    asyncio.run(main())


@pytest.mark.parametrize("generation", [5, None], ids=["shared out anew", "being shared out"])
def test_write_of_an_earlier_generation_is_refused_however_fresh_the_heartbeat(generation: int | None) -> None:
    world = World(100)
    world.membership.generation = generation
    with pytest.raises(Superseded):
        asyncio.run(world.fence.passed(4))
    with pytest.raises(Superseded):
        world.fence.check(4)


def test_group_that_goes_on_while_a_write_waits_ends_the_waiting() -> None:
    async def main() -> None:
        world = World(200)
        waiting = asyncio.create_task(world.fence.passed(4))
        await asyncio.sleep(0)
        world.membership.generation = 5
        with pytest.raises(Superseded):
            await waiting
        assert world.doubts == [True, False]

    asyncio.run(main())


def test_doubt_ends_when_the_last_writer_that_waits_goes_on() -> None:
    async def main() -> None:
        world = World(200)
        writers = [asyncio.create_task(world.fence.passed(generation)) for generation in (4, 4)]
        await asyncio.sleep(0)
        writers[0].cancel()
        await asyncio.sleep(0)
        assert world.doubts == [True, True]
        world.membership.heartbeat_at = 199.0
        await writers[1]
        assert world.doubts == [True, True, False]

    asyncio.run(main())
