"""Replays and feeds on the real broker: everything arrives, and a broker that goes away is waited for."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ingest.recordings import read_recordings
from market.depth import Depth
from market.feed_status import FeedState, FeedStatus
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade
from schemas.partitioning import partition_of
from schemas.records import Record
from tapeline.demo.services import free_port
from tapeline.embedded import EmbeddedStack
from tests.cluster import ROOT, Cluster, Service, wait_for
from tests.ingest_parts import FUTURES, SAMPLE, SPOT, played

TOPICS = {
    **dict.fromkeys((Trade, TimeMark, GapMark), "md.trades"),
    Quote: "md.quotes",
    Kline: "md.klines",
    Depth: "md.depth",
}
SIMULATED = {"feeds": {"sim": {"feed": "simulated", "symbols": ["sim:A-USD"], "options": {"rate": 200}}}}


def by_instrument(records: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for record in records:
        found.setdefault(record.instrument, []).append(record)
    return found


def expected(records: list[Record], topic: str) -> list[Any]:
    return [record for record in records if TOPICS.get(type(record)) == topic]


def test_replay_publishes_every_record_in_order_on_its_partition(cluster: Cluster, start: Callable[..., Service]) -> None:
    replay = start("replay", SPOT, FUTURES, "--speed", "max", "--times", "recorded", "-c", cluster.config())
    assert replay.process.wait(60) == 0, replay.text()
    records = played(read_recordings([SPOT, FUTURES]))
    partitions = cluster.settings.topics.partitions
    for topic in set(TOPICS.values()):
        stored = cluster.read(topic)
        as_parsed = [one.record._replace(published_at=None) for one in stored]
        assert by_instrument(as_parsed) == by_instrument(expected(records, topic)), topic
        assert f"{topic} {len(stored)}" in replay.text().splitlines()[-1]
        assert all(one.partition == partition_of(one.record.instrument, partitions) for one in stored)
        assert all(one.key == one.record.instrument.encode() for one in stored)
        assert all(one.record.published_at for one in stored)
    assert "frames 1800; records 1800 (depth 941, kline 69, quote 697, trade 93)" in replay.text().splitlines()[-1]


def test_replay_ends_with_a_time_mark_and_the_state_of_every_stream(cluster: Cluster, start: Callable[..., Service]) -> None:
    replay = start("replay", FUTURES, "--speed", "max", "-c", cluster.config())
    assert replay.process.wait(60) == 0, replay.text()
    last = {stored.record.instrument: stored.record for stored in cluster.read("md.trades")}
    assert len(last) == 4
    assert all(isinstance(record, TimeMark) for record in last.values())
    states = [stored.record for stored in cluster.read("md.status")]
    assert all(isinstance(state, FeedStatus) for state in states)
    told: dict[tuple[str, str], list[FeedState]] = {}
    for state in states:
        told.setdefault((state.channel, state.instrument), []).append(state.state)
    assert {channel for channel, _ in told} == {"aggTrade", "bookTicker", "kline_1m", "depth@100ms"}
    for (channel, _), found in told.items():
        assert found == [FeedState.RESYNC if channel == "depth@100ms" else FeedState.LIVE, FeedState.DOWN]
    assert {state.reason for state in states if state.state is FeedState.DOWN} == {"the recording ends"}


def test_broker_lost_in_the_middle_of_a_replay_is_waited_for(own_cluster: Cluster, stack: EmbeddedStack) -> None:
    config = own_cluster.config(ingest={"publisher": {"queue_bytes": 1024 * 1024}})  # small, so that it fills up
    log = own_cluster.folder / "replay.log"
    replay = Service(("replay", *map(str, SAMPLE), "--speed", "100", "-c", str(config)), log)
    try:
        wait_for(lambda: own_cluster.ends("md.trades"), "the first trades")
        stack.kill("kafka")
        time.sleep(8)
        assert replay.process.poll() is None, replay.text()
        stack.start("kafka")
        assert replay.process.wait(120) == 0, replay.text()
    finally:
        replay.kill()
    trades = [stored.record for stored in own_cluster.read("md.trades") if isinstance(stored.record, Trade)]
    assert Counter(trade.trade_id for trade in trades) == Counter(map(str, range(3735683259, 3735703163)))
    assert "records wait for the broker" in replay.text()
    assert "the broker takes records again" in replay.text()


def test_broker_that_stays_away_is_an_explicit_error(own_cluster: Cluster, stack: EmbeddedStack) -> None:
    config = own_cluster.config(ingest={**SIMULATED, "publisher": {"delivery_timeout_seconds": 4}})
    log = own_cluster.folder / "ingest.log"
    ingest = Service(("ingest", "-c", str(config)), log)
    try:
        wait_for(lambda: own_cluster.ends("md.trades"), "the first trades")
        stack.kill("kafka")
        assert ingest.process.wait(60) == 1, ingest.text()
    finally:
        ingest.kill()
        stack.start("kafka")
    assert "records are not delivered to the broker: md." in ingest.text()
    assert "Traceback" not in ingest.text()


def test_stopped_feed_has_told_everything_and_its_streams_are_down(cluster: Cluster, start: Callable[..., Service]) -> None:
    ingest = start("ingest", "-c", cluster.config(ingest=SIMULATED))
    wait_for(lambda: cluster.ends("md.trades"), "the first trades")
    assert ingest.terminate() == 0, ingest.text()
    trades = [stored.record for stored in cluster.read("md.trades") if isinstance(stored.record, Trade)]
    numbers = [int(trade.trade_id) for trade in trades]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    last = {stored.record.channel: stored.record for stored in cluster.read("md.status")}
    assert {(state.state, state.reason) for state in last.values()} == {(FeedState.DOWN, "stopped")}
    assert set(last) == {"trade", "quote"}


def test_broker_that_is_not_there_is_named_in_time() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tapeline", "replay", str(SPOT), "--set", f"kafka.bootstrap={nobody}"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert time.monotonic() - began < 20  # five of them for the broker, the rest for a busy machine
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert f"Kafka broker at {nobody} is not reachable" in line
    assert "Connection refused" in line
