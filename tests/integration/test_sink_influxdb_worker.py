"""The sink of InfluxDB as the process a user starts, on real servers, against a model in plain Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster import Cluster, Service, wait_for
from tests.influx_running import Influx, InfluxSink, influx_of, records
from tests.sink_running import metric, not_ready, publish

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
