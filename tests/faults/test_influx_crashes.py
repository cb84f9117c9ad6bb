"""The InfluxDB sink killed at random moments under load: points equal the model, offsets are never ahead of them."""

from __future__ import annotations

import random
import time
from collections import Counter
from functools import partial
from itertools import count

import pytest

from tests.cluster import Cluster, wait_for
from tests.influx_points import KINDS, Point, points_of
from tests.influx_running import TOPICS, Influx, InfluxSink, records
from tests.sink_running import Start, is_reading, publishing

KILLS = 20
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
