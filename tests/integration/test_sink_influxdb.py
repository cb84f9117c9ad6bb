"""The InfluxDB store by itself, on the real server."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from market.errors import DataValidationError
from market.price_change import PriceChangedEvent
from market.trade import Trade
from schemas.records import Record
from sinks.store import Advance, Batch, Entry, KafkaRecord, RecordRefused, StoredOffset, StoreUnavailable, StoreUnfit
from sinks.stores.influxdb import InfluxStore
from tests.builders import INSTRUMENT, START, make_trade
from tests.influx_points import KINDS, points_of
from tests.influx_running import Influx, influx_of, records
from tests.servers import throwaway_stack
from tests.sink_running import candle

P0 = ("md.trades", 0)


@pytest.fixture
def store(influx: Influx) -> Iterator[InfluxStore]:
    store = influx.make_store()
    store.open()
    yield store
    store.close()


def batch(store: InfluxStore, given: Iterable[Record], begin: int | None = None) -> Batch:
    """A batch of records that stand in one partition from `begin` on."""
    first = begin or 0
    entries, after = [], first
    for record in given:
        source = KafkaRecord(*P0, after, b"key", b"value", START // 1000)
        if (row := store.row(record, source)) is not None:
            entries.append(Entry(source, row))
        after += 1
    return Batch(entries, {P0: Advance(begin, max(after, first + 1), "id")}, {P0[0]: after - first})


def every_kind(seed: int = 1) -> list[Record]:
    return [record for each in records(seed, 300).values() for record in each]


def test_every_measurement_lands_and_is_read_back_equal(store: InfluxStore, influx: Influx) -> None:
    given = every_kind()
    assert {type(record) for record in given} >= set(KINDS)
    written = store.write(batch(store, given))
    assert influx.points() == points_of(given)
    assert set(written) == {kind.measurement for kind in KINDS.values()}
    assert store.offsets([P0, ("md.trades", 1)]) == {P0: StoredOffset(len(given), "id")}


def test_same_records_again_in_other_batches_leave_the_same_points(store: InfluxStore, influx: Influx) -> None:
    given = every_kind(2)
    store.write(batch(store, given))
    before = influx.points()
    other = influx.make_store("other")  # remembers nothing
    other.open()
    for begin in range(0, len(given), 97):
        other.write(batch(other, given[begin : begin + 97], begin))
    other.close()
    assert influx.points() == before


def test_trades_of_one_microsecond_stay_apart_whatever_their_sequences(store: InfluxStore, influx: Influx) -> None:
    given = [make_trade(number * 1000, at=START) for number in range(300)]
    store.write(batch(store, given))
    store.write(batch(store, given[::-1], len(given)))
    assert influx.points() == points_of(given)
    assert influx.points().total() == 300


def test_highest_version_of_a_candle_wins_in_any_order_and_over_restarts(store: InfluxStore, influx: Influx) -> None:
    chance = random.Random(5)
    versions = [candle(INSTRUMENT, 7, revision, offset, chance) for revision, offset in [(1, 30), (0, 40), (2, 20), (1, 35)]]
    for offset, version in enumerate(versions):
        store.write(batch(store, [version], offset))
    newer = influx.make_store("newer")
    newer.open()
    assert newer.write(batch(newer, versions[:2], 4)) == {}
    newer.close()
    assert influx.points() == points_of([versions[2]])


def test_volume_that_a_later_version_does_not_know_is_marked_unknown(store: InfluxStore, influx: Influx) -> None:
    first = candle(INSTRUMENT, 7, 1, 1, random.Random(5))._replace(taker_buy_volume=5)
    second = first._replace(taker_buy_volume=None, revision=2)
    store.write(batch(store, [first]))
    store.write(batch(store, [second], 1))
    assert influx.points() == points_of([second])


def test_record_that_the_server_refuses_is_found_and_the_rest_lands(store: InfluxStore, influx: Influx) -> None:
    """The server is made to hold a field of another type, as no version of this program would write it, in another month."""
    later = START + 60 * 86_400_000_000
    sound = [make_trade(number, at=START + number) for number in range(20)]
    bad = make_trade(7, at=later)
    store._session.write(influx.settings.ticks_bucket, [f"trades,instrument=okx:BTC-USDT,side=buy price=1i {later * 1000}"])
    whole = batch(store, [*sound[:13], bad, *sound[13:]])
    with pytest.raises(RecordRefused, match=r"422: .*field type conflict: input field .*price") as caught:
        store.write(whole)
    assert caught.value.entry is whole.entries[13]
    assert store.offsets([P0]) == {}
    store.write(Batch([entry for entry in whole.entries if entry is not caught.value.entry], whole.advances, {}))
    assert points_of(sound) <= influx.points()


def test_time_that_the_server_cannot_hold_is_refused_alone(store: InfluxStore, influx: Influx) -> None:
    whole = batch(store, [make_trade(1), make_trade(2, at=10**17)])
    with pytest.raises(RecordRefused, match="400: unable to parse") as caught:
        store.write(whole)
    assert caught.value.entry is whole.entries[1]


def test_series_beyond_the_budget_are_refused_also_after_a_restart(influxdb_server: str) -> None:
    with influx_of(influxdb_server, max_series=2) as influx:
        store = influx.make_store()
        store.open()
        given = [make_trade(1, instrument="a:one"), make_trade(2, instrument="a:two, with = signs")]
        store.write(batch(store, given))
        store.close()
        again = influx.make_store()
        again.open()
        again.write(batch(again, given, 2))
        with pytest.raises(
            DataValidationError, match=r"instrument=a:three.*there are 2 series, influxdb.max_series allows 2"
        ) as caught:
            batch(again, [make_trade(3, instrument="a:three")], 4)
        again.close()
        assert caught.value.reason == "too_many_series"
        assert influx.points() == points_of(given)


def test_records_older_than_the_bucket_keeps_are_counted_and_left_out(influxdb_server: str) -> None:
    with influx_of(influxdb_server, ticks_retention_seconds=86_400) as influx:
        store = influx.make_store()
        store.open()
        now = time.time_ns() // 1000
        fresh = make_trade(2, at=now)
        assert store.write(batch(store, [make_trade(1, at=now - 2 * 86_400_000_000), fresh])) == {"trades": 1}
        assert influx.points() == points_of([fresh])
        assert store.offsets([P0]) == {P0: StoredOffset(2, "id")}
        store.close()


def test_buckets_are_made_once_and_keep_what_the_settings_say(influxdb_server: str) -> None:
    with influx_of(influxdb_server) as influx:
        store = influx.make_store()
        assert len(store.make_buckets()) == 3
        assert store.make_buckets() == []
        section = influx.section | {"history_retention_seconds": 7200}
        other = Influx(influxdb_server, **{key: value for key, value in section.items() if key not in ("url", "org", "token")})
        assert other.make_store().make_buckets() == [f"bucket {influx.settings.history_bucket}: kept for 7200 s"]
        other.client.close()


def test_missing_buckets_are_named(influx: Influx) -> None:
    store = influx.make_store()
    store._makes_buckets = False
    with pytest.raises(StoreUnfit, match=f"no bucket {influx.settings.ticks_bucket}.*run `tapeline sink init`"):
        store.open()


def test_wrong_token_is_named_without_it(influx: Influx) -> None:
    with pytest.raises(StoreUnfit, match="401: unauthorized") as caught:
        influx.make_store(token="s3cret").open()
    assert "s3cret" not in str(caught.value)


def test_offset_can_be_put_elsewhere_and_moves_without_points(store: InfluxStore) -> None:
    store.write(Batch([], {P0: Advance(None, 5, "id")}, {}))
    store.set_offset(P0, StoredOffset(3, "new id"))
    assert store.offsets([P0]) == {P0: StoredOffset(3, "new id")}


@pytest.mark.parametrize(("status", "header", "wait"), [(429, "7", 7.0), (503, None, None), (500, None, None)])
def test_server_that_is_busy_says_when_to_come_again(
    influx: Influx, status: int, header: str | None, wait: float | None
) -> None:
    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            if header:
                self.send_header("Retry-After", header)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    store = influx.make_store(url=f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(StoreUnavailable, match=str(status)) as caught:
            store.write(batch(store, [make_trade()]))
        assert caught.value.retry_after == wait
    finally:
        store.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_unreachable_server_is_named(influx: Influx) -> None:
    with socket.socket() as taken:  # bound, so that nobody else listens there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StoreUnavailable, match=f"InfluxDB at http://127.0.0.1:{port}: .*refused"):
            influx.make_store(url=f"http://127.0.0.1:{port}").open()


def test_frozen_and_killed_server_costs_time_and_nothing_else(influxdb_program: None) -> None:
    with throwaway_stack(["influxdb"]) as stack, influx_of(stack.addresses.influxdb) as influx:
        store = influx.make_store(timeout=0.5)
        store.open()
        given = [make_trade(number, at=START + number) for number in range(3)]
        store.write(batch(store, given[:1]))
        stack.pause("influxdb")
        with pytest.raises(StoreUnavailable, match="timed out"):
            store.write(batch(store, given[1:2], 1))
        stack.resume("influxdb")
        store.write(batch(store, given[1:2], 1))
        stack.kill("influxdb")
        with pytest.raises(StoreUnavailable):
            store.write(batch(store, given[2:], 2))
        stack.start("influxdb")
        assert store.offsets([P0]) == {P0: StoredOffset(2, "id")}
        store.write(batch(store, given[2:], 2))
        assert influx.points() == points_of(given)
        store.close()


def test_kinds_of_the_model_are_what_the_store_takes() -> None:
    taken = {kind for topic in InfluxStore.topics for kind in topic.records}
    assert set(KINDS) <= taken
    assert {Trade, PriceChangedEvent} <= taken
