"""Records of a feed on their way out, and who waits for room."""

import asyncio

from ingest.outlet import Outlet
from tests.builders import make_trade


def test_who_puts_waits_from_the_limit_until_less_than_half_of_it_is_left() -> None:
    async def fill_and_take() -> None:
        outlet = Outlet(4)
        outlet.put(make_trade(number) for number in range(3))
        assert (outlet.has_room, await outlet.room()) == (True, False)
        outlet.put([make_trade(3)])
        waiting = asyncio.create_task(outlet.room())
        taken = aiter(outlet)
        for _ in range(3):
            await anext(taken)
            await asyncio.sleep(0)
            assert (outlet.has_room, waiting.done()) == (False, False)
        outlet.close()
        await anext(taken)
        assert (outlet.has_room, await waiting) == (True, True)

    asyncio.run(fill_and_take())
