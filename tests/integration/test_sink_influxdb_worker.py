"""The sink of InfluxDB as the process a user starts, on real servers, against a model in plain Python."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from tests.cluster import Cluster, Service, wait_for
from tests.influx_running import Influx, InfluxSink, influx_of, records
from tests.servers import throwaway_stack
from tests.sink_running import is_reading, metric, not_ready, publish

Start = Callable[..., Service]


@pytest.fixture
def sink(cluster: Cluster, start: Start, influx: Influx) -> InfluxSink:
    return InfluxSink(cluster, start, influx)


def test_everything_published_is_stored_and_again_from_the_beginning_leaves_it_as_it_was(
    sink: InfluxSink, influxdb_server: str, start: Start
) -> None:
    cluster, influx = sink.cluster, sink.influx
    publish(cluster, records(seed=1, count=2000))
    cluster.publish_bytes("md.trades", b"key", b"\x00", 1)
    worker = sink.start()
    sink.wait_until_level()
    wanted = sink.wanted()
    assert influx.points() == wanted
    wait_for(lambda: not_ready(worker) == {}, "readiness")
    assert metric(worker, "tapeline_influxdb_series ") == len({(point.measurement, point.tags) for point in wanted})
    assert metric(worker, 'tapeline_rows_stored_total{store="influxdb",table="candles"}') > 0
    assert worker.terminate() == 0
    assert [stored.record.reason for stored in cluster.read("dlq")] == ["undecodable"]

    with influx_of(influxdb_server) as other:  # offsets in another bucket: everything is read again
        influx.section["offsets_bucket"] = other.settings.offsets_bucket
        again = sink.start()
        reread = InfluxSink(cluster, start, other)
        reread.wait_until_level()
        assert again.terminate() == 0
        assert influx.points() == wanted


def test_server_killed_under_load_loses_and_doubles_nothing(cluster: Cluster, start: Start, influxdb_program: None) -> None:
    with throwaway_stack(["influxdb"]) as stack, influx_of(stack.addresses.influxdb) as influx:
        sink = InfluxSink(cluster, start, influx)
        worker = sink.start(batch_rows=50, catch_up_rows=50, batch_seconds=0.05)
        wait_for(lambda: is_reading(worker), "the sink to read")
        by_topic = records(seed=3, count=6000)
        publishing = threading.Thread(target=publish, args=(cluster, by_topic))
        publishing.start()
        chance, progress = random.Random(3), []
        for _ in range(3):
            time.sleep(chance.uniform(0.2, 0.8))
            stack.kill("influxdb")
            wait_for(lambda: "store" in not_ready(worker), "the loss to be noticed", every=0.05)
            stack.start("influxdb")
            progress.append(sum(influx.offsets().values()))
            wait_for(lambda: not_ready(worker) == {}, "the sink to go on", every=0.05)
        publishing.join()
        sink.wait_until_level()
        assert progress == sorted(progress)
        assert influx.points() == sink.wanted()
        assert worker.terminate() == 0
