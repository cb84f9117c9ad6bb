"""Moving records from feeds to the publisher, and the end of it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError

from ingest import publisher, pump
from ingest.feed import ConnectionStatus, Counts
from ingest.publisher import CHECK, Undelivered
from ingest.pump import run_feeds
from market.composite import CHANNEL, Composite
from market.errors import DataPublishError, WebSocketError
from market.quote import Quote
from market.trade import Trade
from runtime import metrics
from schemas.records import Record
from tests.builders import INSTRUMENT, make_trade
from tests.ingest_parts import NOW, Bench, FakeHealth


class ListFeed:
    """A feed of given records, which says when it gives the last; `lasts` keeps it going until it is disconnected."""

    venue = "binance"

    def __init__(self, records: Iterable[Record], *, name: str = "feed", lasts: bool = False, fails: bool = False) -> None:
        self.name = name
        self.counts = Counts()
        self.counts.received["trade"] = 3
        self.counts.rejected["malformed_json"] = 2
        self._records = list(records)
        self._lasts, self._fails = lasts, fails
        self._ended = asyncio.Event()
        self.last_given = asyncio.Event()
        self.status = ConnectionStatus.DISCONNECTED

    async def connect(self) -> None:
        self.status = ConnectionStatus.SUBSCRIBED

    async def disconnect(self) -> None:
        self.status = ConnectionStatus.DISCONNECTED
        self._ended.set()

    def get_status(self) -> ConnectionStatus:
        return self.status

    async def batches(self) -> AsyncIterator[Sequence[Record]]:
        async for record in self:
            yield [record]

    async def __aiter__(self) -> AsyncIterator[Record]:
        for record in self._records:
            if record is self._records[-1]:
                self.last_given.set()
            yield record
        if self._fails:
            raise WebSocketError("a wrong address")
        if self._lasts:
            await self._ended.wait()
            yield make_trade(99)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is done once in a while is done at each turn of the loop, so that no test waits for the time to pass."""
    monkeypatch.setattr(pump, "_POLL_SECONDS", 0)
    monkeypatch.setattr(pump, "_REPORT_SECONDS", 0)
    monkeypatch.setattr(pump, "_CUT_SECONDS", 0)
    monkeypatch.setattr(publisher, "_WAIT_SECONDS", 0)


def run(feeds: list[Any], bench: Bench, *, stop_once: asyncio.Event | None = None) -> FakeHealth:
    async def main() -> None:
        stop = asyncio.Event() if stop_once is None else stop_once
        await run_feeds(feeds, bench.publisher, stop, bench.health, flush_seconds=0)

    asyncio.run(main())
    return bench.health


def ids(bench: Bench) -> list[str]:
    return [record.trade_id for record in bench.sent() if isinstance(record, Trade)]


def test_everything_is_published_in_order_and_the_end_of_all_feeds_is_the_end() -> None:
    bench = Bench()
    run([ListFeed([make_trade(1), make_trade(2)]), ListFeed([make_trade(3)], name="other")], bench)
    assert sorted(ids(bench)) == ["1", "2", "3"]
    assert ids(bench).index("1") < ids(bench).index("2")


def test_full_queue_slows_down_and_loses_nothing() -> None:
    bench = Bench(room=2)
    run([ListFeed(make_trade(number) for number in range(50))], bench)
    assert ids(bench) == [str(number) for number in range(50)]
    assert bench.publisher.counts.waits > 0


def test_what_a_feed_still_has_when_it_is_stopped_is_published() -> None:
    bench, feed = Bench(), ListFeed([make_trade(1)], lasts=True)
    run([feed], bench, stop_once=feed.last_given)
    assert ids(bench) == ["1", "99"]


def test_failed_feed_ends_the_others_and_is_raised() -> None:
    bench, lasting = Bench(), ListFeed([make_trade(1)], name="other", lasts=True)
    with pytest.raises(WebSocketError, match="a wrong address"):
        run([ListFeed([], fails=True), lasting], bench)
    assert lasting.status is ConnectionStatus.DISCONNECTED


def test_broken_publisher_is_raised() -> None:
    bench = Bench()
    bench.producer.refuse = RuntimeError("broken")
    with pytest.raises(RuntimeError, match="broken"):
        run([ListFeed([make_trade(1)])], bench)


def test_records_that_were_not_delivered_are_told_at_the_end() -> None:
    bench, feed = Bench(), ListFeed([make_trade(1)], lasts=True)
    bench.producer.holds_back = True
    with pytest.raises(Undelivered, match="2 records were not delivered") as caught:
        run([feed], bench, stop_once=feed.last_given)
    assert isinstance(caught.value, DataPublishError)


def test_readiness_follows_the_feeds_and_the_publisher() -> None:
    bench, down = Bench(), ListFeed([], name="down", lasts=True)

    async def connect() -> None:
        down.status = ConnectionStatus.RECONNECTING

    down.connect = connect  # type: ignore[method-assign]  # a feed that does not get through
    expected = {CHECK: None, "feed": None, "down": "RECONNECTING"}

    async def main() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(
            run_feeds([ListFeed([], lasts=True), down], bench.publisher, stop, bench.health)  # type: ignore[list-item]  # it does what is used
        )
        async with asyncio.timeout(5):
            while bench.health.told != expected:
                await asyncio.sleep(0)
        stop.set()
        await task

    asyncio.run(main())
    assert bench.health.told == expected | {"feed": "DISCONNECTED", "down": "DISCONNECTED"}


def test_lost_record_ends_all_feeds_though_they_have_nothing_more_to_say() -> None:
    bench = Bench()
    bench.producer.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    with pytest.raises(Undelivered, match=r"not delivered to the broker: md\.trades"):
        run([ListFeed([make_trade(1)], lasts=True)], bench)


def test_lost_record_at_the_very_end_is_told() -> None:
    bench = Bench()
    bench.producer.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    with pytest.raises(Undelivered, match="delivered to the broker"):
        run([ListFeed([make_trade(1)])], bench)


def test_what_could_not_be_handed_over_before_the_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "_DRAIN_SECONDS", 0)
    bench, feed = Bench(room=1), ListFeed([make_trade(1), make_trade(2)])
    bench.producer.holds_back = True
    with pytest.raises(Undelivered, match="what feed had received was not all handed to the broker"):
        run([feed], bench, stop_once=feed.last_given)


def test_fault_of_the_reporting_is_not_passed_over() -> None:
    bench, feed = Bench(), ListFeed([], lasts=True)

    def get_status() -> ConnectionStatus:
        raise RuntimeError("no status")

    feed.get_status = get_status  # type: ignore[method-assign]  # a feed with a defect
    with pytest.raises(RuntimeError, match="no status"):
        run([feed], bench)


def test_counts_become_metrics() -> None:
    def value(counter: Any, *labels: str) -> float:
        return float(counter.labels(*labels)._value.get())

    before = value(metrics.MESSAGES_RECEIVED, "binance", "trade")
    letters = value(metrics.DEAD_LETTERS, "binance", "malformed_json")
    run([ListFeed([make_trade(1)])], Bench())
    assert value(metrics.MESSAGES_RECEIVED, "binance", "trade") == before + 3
    assert value(metrics.DEAD_LETTERS, "binance", "malformed_json") == letters + 2


def test_composite_is_cut_when_no_feed_tells_anything_any_more() -> None:
    bench, stop = Bench(), asyncio.Event()
    told = Quote(INSTRUMENT, "bookTicker", None, 5, 1, 6, 1, *(None,) * 9, None, NOW)
    composite = Composite("composite:BTC-USDT", [INSTRUMENT], 5_000_000)

    def composites() -> list[tuple[int | None, int]]:
        sent = [record for record in bench.sent() if isinstance(record, Quote) and record.channel == CHANNEL]
        return [(quote.bid, quote.received_at) for quote in sent]

    async def main() -> None:
        feed: Any = ListFeed([told], lasts=True)
        running = asyncio.create_task(
            run_feeds([feed], bench.publisher, stop, bench.health, composites=[composite], clock=bench.clock)
        )
        async with asyncio.timeout(5):
            while composites() != [(5, NOW)]:
                await asyncio.sleep(0)
            bench.clock.time += 5_000_000
            while composites() != [(5, NOW), (None, NOW + 5_000_000)]:
                await asyncio.sleep(0)
        stop.set()
        await running

    asyncio.run(main())
