"""What is told while something else serves a line's streams, and when that fails or is not needed any more."""

import asyncio
import json
from collections.abc import Callable

from ingest import feeds
from ingest.failover import Way
from ingest.feed import Parsed, Subscription
from ingest.fetching import Fetcher
from ingest.polling import Poller
from ingest.rest_venue import PollableVenue, Request
from ingest.session import Session
from ingest.standing_in import FailoverOptions, StandIn
from market.feed_status import FeedState, FeedStatus
from market.trade import TimeMark
from schemas.records import Record
from tests.builders import INSTRUMENT, make_trade
from tests.ingest_parts import NOW, FakeClock, parser, trade_frame

LINE, REST = "line", "line-rest"
TRADES = Subscription(INSTRUMENT, "trade")
SECOND = 1_000_000
FRESH = 3


class Rest:
    """A venue's REST that answers when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def get(self, _request: Request) -> bytes:
        self.asked.set()
        await self.may_answer.wait()
        trade = {"id": 1, "price": "1", "qty": "1", "quoteQty": "1", "time": NOW // 1000, "isBuyerMaker": True}
        return json.dumps([trade]).encode()


class Parts:
    """A session with a line of Binance, and what stands in for it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.rest = Rest()
        self.streams = [TRADES]
        self.records: list[Record] = []
        self.session = Session("binance", (), once=True)
        self.session.add_line(LINE, parser())
        self.session.add_line(REST, parser(), "rest")
        venue = feeds.load("binance")
        assert isinstance(venue, PollableVenue)
        self.poller = Poller(
            REST,
            lambda: self.streams,
            venue,
            Fetcher(
                venue,
                self.rest,  # type: ignore[arg-type]  # it does what is used
                self.session,
                self.clock,
                listings={"spot": {"BTCUSDT": INSTRUMENT}},
                max_clock_skew=SECOND,
                recorder=None,
            ),
            self.clock,
            put=self.records.extend,
            room=self._room,
            seconds=1,
        )
        self.stand_in = StandIn(
            LINE,
            lambda: self.streams,
            self.session,
            heard=lambda: self.session.heard_at(LINE),
            poller=self.poller,
            substitute=None,
            options=FailoverOptions(FRESH, 1),
            now=NOW,
        )

    async def _room(self) -> bool:
        return False

    def open(self) -> None:
        """The line is open and told a trade."""
        self.session.restored(LINE, NOW)
        self.session.received(LINE, trade_frame(1), NOW)

    def polled(self, number: int, at: int) -> list[Record]:
        """REST answers with a trade."""
        trade = make_trade(number)
        return self.session.polled(REST, TRADES, Parsed("trade", (trade,)), at)


def states(records: list[Record]) -> list[tuple[FeedState, str, str | None]]:
    return [(one.state, one.reason, one.source) for one in records if isinstance(one, FeedStatus)]


async def _let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _polling(body: Callable[[Parts], None]) -> Parts:
    """Let REST be asked, do this while the answer is on the way, then let it come."""

    async def poll() -> Parts:
        parts = Parts()
        parts.open()
        task = asyncio.create_task(parts.poller.run())
        parts.poller.wanted.set()
        await parts.rest.asked.wait()
        body(parts)
        parts.rest.may_answer.set()
        await _let_others_run()
        task.cancel()
        return parts

    return asyncio.run(poll())


def test_answer_that_comes_while_it_is_wanted_is_told() -> None:
    parts = _polling(lambda parts: None)
    assert parts.session.heard_at(REST) is not None


def test_answer_that_comes_when_it_is_not_wanted_any_more_does_not_bring_rest_back() -> None:
    parts = _polling(lambda parts: parts.poller.wanted.clear())
    assert parts.session.heard_at(REST) is None
    assert states(parts.session.lost(LINE, NOW + SECOND, "cable cut")) == [(FeedState.DOWN, "cable cut", None)]
    assert parts.session.tick(NOW + 2 * SECOND) == []


def test_rest_that_answers_no_longer_is_stale_and_has_no_time_marks() -> None:
    parts = Parts()
    parts.open()
    assert states(parts.stand_in.check(NOW + FRESH * SECOND))[0][0] is FeedState.STALE
    assert parts.stand_in.way is Way.REST
    parts.session.lost(LINE, NOW + FRESH * SECOND, "cable cut")
    answered = NOW + (FRESH + 1) * SECOND
    assert states(parts.polled(2, answered)) == [(FeedState.LIVE, "the venue answers", "rest")]
    assert parts.session.tick(answered + SECOND) == [TimeMark(INSTRUMENT, answered + SECOND)]
    assert states(parts.stand_in.check(answered + FRESH * SECOND - 1)) == []
    told = parts.stand_in.check(answered + FRESH * SECOND)
    assert states(told) == [(FeedState.STALE, "REST does not answer", "rest")]
    assert parts.session.tick(answered + (FRESH + 1) * SECOND) == []
    assert states(parts.stand_in.check(answered + 2 * FRESH * SECOND)) == []
    assert states(parts.polled(3, answered + 3 * FRESH * SECOND)) == [(FeedState.LIVE, "the venue answers", "rest")]
    assert parts.session.tick(answered + (3 * FRESH + 1) * SECOND) != []


def test_back_at_the_websocket_only_streams_that_it_tells_of_are_live() -> None:
    parts = Parts()
    quotes = Subscription(INSTRUMENT, "bookTicker")
    parts.streams.append(quotes)
    parts.open()
    parts.session.connecting(LINE, [quotes], NOW, "connecting")
    parts.stand_in.check(NOW + FRESH * SECOND)
    at = NOW + (FRESH + 1) * SECOND
    parts.polled(2, at)
    parts.session.polled(REST, quotes, Parsed("bookTicker", ()), at)
    parts.session.received(LINE, trade_frame(3), at)
    told = [one for one in parts.stand_in.check(at) if isinstance(one, FeedStatus)]
    assert parts.stand_in.way is Way.WEBSOCKET
    last = {one.channel: (one.state, one.source) for one in told}
    assert last == {"trade": (FeedState.LIVE, "websocket"), "bookTicker": (FeedState.CONNECTING, "websocket")}
    assert FeedState.LIVE not in {one.state for one in told if one.channel == "bookTicker"}


def test_nothing_stands_in_where_nothing_is_subscribed_to() -> None:
    parts = Parts()
    parts.open()
    parts.stand_in.check(NOW + FRESH * SECOND)
    parts.polled(2, NOW + FRESH * SECOND)
    parts.streams.clear()
    parts.session.unsubscribed(LINE, [TRADES], NOW + FRESH * SECOND)
    assert parts.stand_in.check(NOW + (FRESH + 1) * SECOND) == []
    assert (parts.stand_in.way, parts.poller.wanted.is_set()) == (Way.WEBSOCKET, False)
    assert parts.stand_in.check(NOW + 10 * FRESH * SECOND) == []
    parts.streams.append(TRADES)
    parts.session.connecting(LINE, [TRADES], NOW + 10 * FRESH * SECOND, "connecting")
    assert parts.stand_in.check(NOW + 11 * FRESH * SECOND - 1) == []
    assert states(parts.stand_in.check(NOW + 11 * FRESH * SECOND))[0][0] is FeedState.STALE
