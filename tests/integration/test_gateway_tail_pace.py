"""How the tail of real topics hands records over: as often as the loop has use for them."""

import asyncio
import time

from gateway.messages import Arrival
from gateway.tail import Tail
from runtime.kafka import tail_options
from tests.builders import make_trade
from tests.cluster import Cluster
from tests.gateway_running import PATIENCE

COUNT = 100


async def handed_over(cluster: Cluster, patience: float) -> tuple[list[int], list[float]]:
    """The numbers of the trades and the times of the batches, for trades that come one by one meanwhile."""
    kafka = cluster.settings.kafka
    numbers, times = list[int](), list[float]()
    done = asyncio.Event()

    def deliver(arrivals: list[Arrival]) -> float:
        numbers.extend(int(arrival.record.trade_id) for arrival in arrivals)
        times.append(time.monotonic())
        if len(numbers) >= COUNT:
            done.set()
        return patience

    tail = Tail(tail_options(kafka, "pace", without_offset="error"), kafka.bootstrap, {"md.trades": 0}, cluster.codec.decode)
    caught_up = asyncio.Event()
    task = asyncio.create_task(tail.run(deliver, lambda problem: caught_up.set() if problem is None else None))
    try:
        async with asyncio.timeout(PATIENCE):
            await caught_up.wait()
            for number in range(COUNT):
                await asyncio.to_thread(cluster.publish, "md.trades", [make_trade(number)])
                await asyncio.sleep(0.005)
            await done.wait()
    finally:
        task.cancel()
        await asyncio.wait([task])
    return numbers, times


def test_no_more_batches_come_than_the_loop_has_use_for(cluster: Cluster) -> None:
    async def main(patience: float) -> int:
        numbers, times = await handed_over(cluster, patience)
        assert numbers == list(range(COUNT))
        if patience:
            assert len(times) <= (times[-1] - times[0]) / patience + 3
        return len(times)

    assert asyncio.run(main(0.2)) < asyncio.run(main(0.0)) / 4
