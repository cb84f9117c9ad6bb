"""History page by page: what is done counts as done when the broker has it, and is gone on from with the next command."""

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from confluent_kafka import KafkaError

from ingest import feeds
from ingest.backfill import Backfill, TellingVenue, VenueHistory
from ingest.bookmarks import Bookmarks
from ingest.feed import Subscription
from ingest.publisher import Undelivered
from ingest.rest_venue import Request
from market.quote import Kline
from tests.builders import INSTRUMENT
from tests.ingest_parts import NOW, Bench, FakeClock

KLINES = Subscription(INSTRUMENT, "kline_1m")
MINUTE = 60_000_000
MOST = 1_000
SKEW = 5_000_000


class Klines:
    """A venue that has a kline of every minute up to the clock's."""

    def __init__(self, clock: FakeClock) -> None:
        self.asked: list[int] = []
        self._clock = clock

    async def get(self, request: Request) -> bytes:
        options = {name: int(value) for name, (value,) in parse_qs(urlsplit(request.url).query).items() if value.isdigit()}
        self.asked.append(options["startTime"] * 1000)
        first, last = -(-options["startTime"] // 60_000), min(options["endTime"], self._clock.now() // 1000) // 60_000
        opened = [minute * 60_000 for minute in range(first, last + 1)][:MOST]
        rows = [[at, "2", "3", "1", "2", "5", at + 59_999, "10", 4, "1", "2", "0"] for at in opened]
        return json.dumps(rows).encode()


class Run:
    """Backfills that keep their progress in one file, as commands one after another do."""

    def __init__(self, tmp_path: Path) -> None:
        self.bench = Bench()
        self.clock = FakeClock(NOW + SKEW)
        self.rest = Klines(self.clock)
        self.marks = tmp_path / "marks.json"

    def __call__(self, begin: int, end: int) -> None:
        venue = feeds.load("binance")
        assert isinstance(venue, TellingVenue)
        history = VenueHistory(venue, self.rest, self.clock, SKEW)  # type: ignore[arg-type]  # it does what is used
        work = Backfill(
            history,
            self.clock,
            self.bench.publisher,
            Bookmarks(self.marks),
            told=lambda _stream, _records, _share: None,
        )
        asyncio.run(work.run([(KLINES, begin, end)]))

    def opened(self) -> list[int]:
        return [record.open_time for record in self.bench.sent() if isinstance(record, Kline)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_page_whose_delivery_failed_is_not_done(run: Run) -> None:
    begin = NOW - 10 * MINUTE
    run.bench.producer.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    with pytest.raises(Undelivered, match=r"md\.klines"):
        run(begin, NOW)
    run.bench = Bench()
    run(begin, NOW)
    assert run.opened() == list(range(begin, NOW, MINUTE))


def test_command_without_an_end_goes_on_where_it_was_when_it_is_given_again(run: Run) -> None:
    begin = NOW - 2_500 * MINUTE
    run(begin, NOW)
    assert run.rest.asked[0] == begin
    run.clock.time += 2 * MINUTE
    asked = len(run.rest.asked)
    run(begin, run.clock.time)
    assert len(run.rest.asked) == asked + 1
    assert run.rest.asked[-1] == NOW - MINUTE
    assert sorted(set(run.opened())) == list(range(begin, NOW + 2 * MINUTE, MINUTE))


def test_kline_that_was_open_at_the_end_is_told_by_the_next_run(run: Run) -> None:
    run.clock.time += MINUTE // 2
    run(NOW - MINUTE, run.clock.time)
    assert run.opened() == [NOW - MINUTE]
    run.clock.time += MINUTE
    run(NOW - MINUTE, run.clock.time)
    assert run.opened() == [NOW - MINUTE, NOW - MINUTE, NOW]


def test_kline_that_is_not_closed_by_any_clock_yet_is_told_by_the_same_command_given_again(run: Run) -> None:
    run.clock.time = NOW + SKEW - 1
    run(NOW - 2 * MINUTE, NOW)
    assert run.opened() == [NOW - 2 * MINUTE]
    run.clock.time += 1
    run(NOW - 2 * MINUTE, NOW)
    assert run.opened() == [NOW - 2 * MINUTE, NOW - 2 * MINUTE, NOW - MINUTE]
    asked = len(run.rest.asked)
    run(NOW - 2 * MINUTE, NOW)
    assert len(run.rest.asked) == asked
