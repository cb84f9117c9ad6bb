"""The InfluxDB sink and its server killed at random moments under load: points equal the model, offsets are never ahead."""

from __future__ import annotations

import random
import time
from collections import Counter
from functools import partial
from itertools import count

import pytest

from tests.cluster import Cluster, wait_for
from tests.influx_points import KINDS, Point, points_of
from tests.influx_running import TOPICS, Influx, InfluxSink, influx_of, records
from tests.servers import throwaway_stack
from tests.sink_running import Start, is_reading, not_ready, publishing

KILLS = 20

SERVER_KILLS = 7
"""Of each seed: with three of them more than twenty."""

PATIENCE = 90.0  # seconds; a machine that does other work besides starts a sink slowly

pytestmark = pytest.mark.timeout(900)  # dozens of starts of a sink, which a busy machine makes slow

Offsets = dict[tuple[str, int], int]


def assert_offsets_are_not_ahead(cluster: Cluster, found: list[tuple[Offsets, Counter[Point]]]) -> None:
    """Whatever was below the stored offsets at a time was stored then; of what has versions, some version of it."""
    stored = [(topic, each) for topic in TOPICS for each in cluster.read(topic)]
    versioned = {kind.measurement for kind in KINDS.values() if kind.versions}
    for offsets, points in found:
        passed = [each.record for topic, each in stored if each.offset < offsets.get((topic, each.partition), 0)]
        wanted = points_of(passed)
        places = {point[:3] for point in points}
        assert {point[:3] for point in wanted if point.measurement in versioned} <= places
        assert not Counter({point: n for point, n in wanted.items() if point.measurement not in versioned}) - points


@pytest.mark.short
def test_influx_sink_killed_at_random_moments_loses_and_doubles_nothing(
    cluster: Cluster, influx: Influx, fork: Start, seed: int
) -> None:
    sink, chance = InfluxSink(cluster, fork, influx), random.Random(seed)
    found: list[tuple[Offsets, Counter[Point]]] = []
    with publishing(cluster, records(400 + seed, 6_000)) as is_loading:
        for kills in count(1):
            worker = sink.start(batch_rows=50, catch_up_rows=50, batch_seconds=0.05)
            wait_for(partial(is_reading, worker), "the sink to read", timeout=PATIENCE, every=0.01)
            time.sleep(chance.uniform(0.0, 0.4))
            worker.kill()
            if chance.random() < 0.3:
                continue  # killed again before anyone looked
            offsets = influx.offsets()
            found.append((offsets, influx.points()))
            moved = len({sum(offsets.values()) for offsets, _ in found}) > 2
            if kills >= KILLS and (moved or kills >= 2 * KILLS):
                break
        assert is_loading() or moved
    progress = [sum(offsets.values()) for offsets, _ in found]
    assert len(set(progress)) > 2, progress  # killed at work, not before or after
    assert progress == sorted(progress)
    last = sink.start()
    sink.wait_until_level()
    assert influx.points() == sink.wanted()
    assert_offsets_are_not_ahead(cluster, found)
    assert last.terminate() == 0


@pytest.mark.short
def test_influxd_killed_at_random_moments_loses_and_doubles_nothing(
    cluster: Cluster, start: Start, influxdb_program: None, seed: int
) -> None:
    with throwaway_stack(["influxdb"]) as stack, influx_of(stack.addresses.influxdb) as influx:
        sink, chance = InfluxSink(cluster, start, influx), random.Random(seed)
        found: list[tuple[Offsets, Counter[Point]]] = []
        progress = [0]
        worker = sink.start(batch_rows=50, catch_up_rows=50, batch_seconds=0.05)
        with publishing(cluster, records(500 + seed, 6_000)) as is_loading:

            def has_stored_more() -> bool:
                return sum(influx.offsets().values()) > progress[-1] or not is_loading()

            for _ in range(SERVER_KILLS):
                wait_for(has_stored_more, "the sink to store", timeout=PATIENCE, every=0.05)
                time.sleep(chance.uniform(0.0, 0.5))
                stack.kill("influxdb")
                if chance.random() < 0.5:
                    wait_for(lambda: "store" in not_ready(worker), "the sink to say that it is not ready", PATIENCE)
                stack.start("influxdb")
                found.append((influx.offsets(), influx.points()))
                progress.append(sum(found[-1][0].values()))
        assert progress == sorted(progress)
        assert len(set(progress)) > 3, progress  # killed at work, not before or after
        sink.wait_until_level()
        wait_for(lambda: not_ready(worker) == {}, "readiness", PATIENCE)
        assert influx.points() == sink.wanted()
        assert_offsets_are_not_ahead(cluster, found)
        assert worker.process.poll() is None  # it waited by itself, whatever happened to the server
        assert worker.terminate() == 0
