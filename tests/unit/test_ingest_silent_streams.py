"""A stream that falls silent while others of its connection tell: what is told of it, and what is done."""

import asyncio
from collections.abc import Callable, Collection, Iterable

import pytest

from ingest import feeds
from ingest.feed import Subscription
from ingest.fetching import Fetcher
from ingest.polling import Poller
from ingest.pulses import HEARD_IN
from ingest.rest_venue import PollableVenue
from ingest.session import Session
from ingest.silent_streams import SilentStreams
from ingest.substitutes import Claim
from market.feed_status import FeedState, FeedStatus
from market.trade import GapMark, Trade
from schemas.records import Record
from tests.builders import INSTRUMENT
from tests.ingest_parts import NOW, FakeClock, combined, parser, trade_frame

LINE, SILENT = "line", "line-silent"
TRADES, QUOTES = Subscription(INSTRUMENT, "trade"), Subscription(INSTRUMENT, "bookTicker")
SECOND = 1_000_000
PATIENCE, FRESH = 60, 10


def states(records: Iterable[Record]) -> list[FeedStatus]:
    return [record for record in records if isinstance(record, FeedStatus)]


def quote(number: int) -> bytes:
    return combined("btcusdt@bookTicker", {"u": number, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"})


class Spare:
    """A feed that stands in; `needed_by` are those it does so for."""

    name, heard_at = "spare", None

    def __init__(self) -> None:
        self.needed_by: list[str] = []

    def stand_in(self, line: str, _reason: str) -> None:
        self.needed_by.append(line)

    async def stand_back(self, line: str, _reason: str) -> None:
        self.needed_by.remove(line)


class Parts:
    """A session with a line of Binance that tells trades and quotes, and what looks after its streams."""

    def __init__(self) -> None:
        self.now = NOW
        self.session = Session("binance", (), once=True)
        self.session.add_line(LINE, parser(), patience=PATIENCE * SECOND)
        self.session.add_line(SILENT, parser(), "rest")
        self.begun: list[Collection[Subscription]] = []
        self.watch = SilentStreams(LINE, self.session, self.begun.append)
        venue = feeds.load("binance")
        assert isinstance(venue, PollableVenue)
        self.poller = self.watch.poller = Poller(
            SILENT,
            lambda: self.watch.streams,
            venue,
            Fetcher(
                venue,
                None,  # type: ignore[arg-type]  # nothing is asked here
                self.session,
                FakeClock(),
                listings={},
                max_clock_skew=5_000_000,
                recorder=None,
            ),
            FakeClock(),
            put=lambda _records: None,
            room=self._room,
            seconds=1.0,
        )
        self.spare = Spare()
        self.watch.fresh_for = FRESH * SECOND
        self.numbers = {TRADES: 0, QUOTES: 0}
        self.session.restored(LINE, self.now)

    async def _room(self) -> bool:
        return True

    def go(self, seconds: int, *streams: Subscription) -> list[FeedStatus]:
        """So many seconds with a message of each of these streams in each; the states told."""
        records: list[Record] = []
        for _ in range(seconds):
            self.now += SECOND
            for stream in streams:
                self.numbers[stream] += 1
                records += self.tell(stream, self.numbers[stream])
            records += self.watch.look(self.now)
        return states(records)

    def answered(self, number: int) -> list[Record]:
        """REST tells a trade."""
        self.poller.answered_at[TRADES] = self.now
        answer = parser().parse(trade_frame(number, at=self.now), self.now)
        return self.session.polled(SILENT, TRADES, answer, self.now)

    def tell(self, stream: Subscription, number: int) -> list[Record]:
        frame = trade_frame(number, at=self.now) if stream == TRADES else quote(number)
        return self.session.received(LINE, frame, self.now)


@pytest.fixture
def parts() -> Parts:
    """With both streams live for long enough to be judged."""
    parts = Parts()
    told = parts.go(HEARD_IN + 1, TRADES, QUOTES)
    assert {(one.channel, one.state) for one in told} == {("trade", FeedState.LIVE), ("bookTicker", FeedState.LIVE)}
    return parts


def test_silent_stream_is_told_by_its_channel_begun_anew_and_asked_for(parts: Parts) -> None:
    assert parts.go(PATIENCE - 1, QUOTES) == []
    (told,) = parts.go(1, QUOTES)
    assert (told.channel, told.instrument, told.state) == ("trade", INSTRUMENT, FeedState.STALE)
    assert told.reason == "nothing by trade for 60 s, while other streams of the connection tell"
    assert (parts.begun, parts.watch.streams, parts.poller.wanted.is_set()) == ([[TRADES]], {TRADES}, True)


def test_stream_that_tells_again_is_live_and_asked_for_no_more(parts: Parts) -> None:
    parts.go(PATIENCE, QUOTES)
    told = parts.go(2, TRADES, QUOTES)
    assert [(one.channel, one.state) for one in told] == [("trade", FeedState.LIVE)]
    assert (parts.watch.streams, parts.poller.wanted.is_set(), len(parts.begun)) == (set(), False, 1)


def test_stream_that_stays_silent_is_begun_anew_again_and_told_once(parts: Parts) -> None:
    assert [one.state for one in parts.go(5 * PATIENCE, QUOTES)] == [FeedState.STALE]
    assert parts.begun == [[TRADES]] * 3


def test_trades_missed_meanwhile_show_with_the_next_one(parts: Parts) -> None:
    parts.go(PATIENCE, QUOTES)
    records = parts.tell(TRADES, parts.numbers[TRADES] + 5)
    gap = next(record for record in records if isinstance(record, GapMark))
    assert gap.begin is not None
    assert isinstance(records[-1], Trade)


def test_trades_that_only_paused_have_no_gap(parts: Parts) -> None:
    parts.go(PATIENCE, QUOTES)
    assert not [record for record in parts.tell(TRADES, parts.numbers[TRADES] + 1) if isinstance(record, GapMark)]


def test_stream_that_rest_tells_of_is_live_until_the_line_tells_again(parts: Parts) -> None:
    parts.go(PATIENCE, QUOTES)
    parts.numbers[TRADES] += 1
    (live,) = states(parts.answered(parts.numbers[TRADES]))
    assert (live.state, live.source) == (FeedState.LIVE, "rest")
    (back,) = parts.go(2, TRADES, QUOTES)
    assert (back.state, back.source, back.reason) == (
        *(FeedState.LIVE, "websocket"),
        "websocket is fresh again: rest → websocket",
    )
    lost = [told for told in states(parts.session.lost(LINE, parts.now, "cut")) if told.channel == "trade"]
    assert [told.state for told in lost] == [FeedState.DOWN]  # what was asked for does not hide it


def test_line_that_is_silent_as_a_whole_has_no_silent_streams(parts: Parts) -> None:
    assert parts.go(10 * PATIENCE) == []
    assert parts.begun == []


def test_line_that_is_down_is_asked_for_no_more(parts: Parts) -> None:
    parts.go(PATIENCE, QUOTES)
    parts.session.lost(LINE, parts.now, "cut")
    parts.watch.rest(parts.now)
    assert (parts.watch.streams, parts.poller.wanted.is_set()) == (set(), False)
    assert parts.watch.look(parts.now + 9 * PATIENCE * SECOND) == []


def _with_spare(body: Callable[[Parts], None]) -> None:
    """Do this with a feed that stands in, trades silent for as long as a stream may be."""

    async def run() -> None:
        parts = Parts()
        parts.watch.backup = Claim(parts.spare, SILENT)
        parts.go(HEARD_IN + 1, TRADES, QUOTES)
        parts.go(PATIENCE, QUOTES)
        body(parts)
        await asyncio.sleep(0)
        assert parts.spare.needed_by == []

    asyncio.run(run())


def test_stream_that_rest_does_not_tell_of_is_told_by_the_feed_that_stands_in() -> None:
    def body(parts: Parts) -> None:
        assert parts.go(FRESH - 1, QUOTES) == []
        assert parts.spare.needed_by == []
        (told,) = parts.go(1, QUOTES)
        assert (told.channel, told.state, told.source) == ("trade", FeedState.STALE, "spare")
        assert told.reason == "nothing by rest for 10 s: rest → spare"
        assert parts.spare.needed_by == [SILENT]
        assert parts.poller.wanted.is_set(), "REST goes on being tried"
        assert parts.go(30 * FRESH, QUOTES) == []
        told_back = parts.go(1, TRADES, QUOTES)[-1]
        assert (told_back.state, told_back.source) == (FeedState.LIVE, "websocket")
        assert told_back.reason == "websocket is fresh again: spare → websocket"

    _with_spare(body)


def test_rest_that_answers_again_takes_over_from_the_feed_that_stands_in() -> None:
    def body(parts: Parts) -> None:
        parts.go(FRESH + 1, QUOTES)
        parts.numbers[TRADES] += 1
        parts.answered(parts.numbers[TRADES])
        told = parts.go(1, QUOTES)
        assert [(one.source, one.reason) for one in told] == [("rest", "rest is fresh again: spare → rest")]

    _with_spare(body)


def test_stream_that_rest_answers_about_needs_nobody_else() -> None:
    def body(parts: Parts) -> None:
        for _ in range(3 * FRESH):
            parts.answered(parts.numbers[TRADES])
            assert parts.go(1, QUOTES) == []

    _with_spare(body)


def test_feed_that_stands_in_is_let_go_where_the_line_is_down_or_nothing_was_read() -> None:
    def down(parts: Parts) -> None:
        parts.go(FRESH, QUOTES)
        assert parts.spare.needed_by == [SILENT]
        parts.session.lost(LINE, parts.now, "cut")
        parts.watch.rest(parts.now)

    def unread(parts: Parts) -> None:
        parts.go(FRESH - 1, QUOTES)
        parts.watch.excuse(parts.now)
        assert parts.go(FRESH - 1, QUOTES) == []

    _with_spare(down)
    _with_spare(unread)


def test_stream_that_is_not_wanted_any_longer_is_not_silent(parts: Parts) -> None:
    parts.session.unsubscribed(LINE, [TRADES], parts.now)
    assert parts.go(3 * PATIENCE, QUOTES) == []
