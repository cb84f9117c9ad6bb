"""Feeds that ask, against servers of this machine: addresses fail, rows are missing, markets close, and each is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import pytest

from ingest import feeds
from ingest.capture import Capture
from ingest.clock import SystemClock
from ingest.connection import ConnectionOptions
from ingest.controlling import Controlling
from ingest.feed import Asking, ConnectionStatus, PolledVenue, Subscription
from ingest.playback import Playback
from ingest.polled import CalendarOf, PolledFeed
from ingest.quota import Allowances
from ingest.recordings import read_recordings
from market.control import ControlAction, ControlCommand
from market.dead_letter import DeadLetter
from market.decimals import ONE
from market.feed_status import FeedState, FeedStatus
from market.quote import Quote
from market.session import Session, TradingCalendar, TradingDay
from market.trade import GapMark, TimeMark, Trade
from runtime.retry import Backoff
from schemas.records import Record
from tests.cn_parts import recorded, sina_row
from tests.exchange.server import LocalServer, answer_of

pytestmark = pytest.mark.timeout(120)

WITHIN = 30.0
OPENING = 1_723_167_000_000_000
"""2024-08-09 09:30 in Shanghai."""
HOUR = 3_600_000_000
MORNING = Session(OPENING, OPENING + 2 * HOUR)
AFTERNOON = Session(OPENING + 3 * HOUR + HOUR // 2, OPENING + 5 * HOUR + HOUR // 2)
CALENDAR = TradingCalendar("XSHG", "Asia/Shanghai", [TradingDay("2024-08-09", (MORNING, AFTERNOON))])
BANK, VANKE, NOBODY = (Subscription(f"szse:{code}", "hq") for code in ("000001", "000002", "999999"))


class SetClock(SystemClock):
    """Goes on by itself from where it is set."""

    def __init__(self, at: int) -> None:
        self.ahead = 0
        self.set(at)

    def set(self, at: int) -> None:
        self.ahead = at - SystemClock.now(self)

    def now(self) -> int:
        return super().now() + self.ahead


class Sina(LocalServer):
    """Answers what is written under a symbol; `cut` answers so many rows at most."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, bytes] = {}
        self.cut = 1_000
        self.status: HTTPStatus | None = None
        self.page: bytes | None = None

    def answer(self, path: str) -> bytes | None:
        if self.status is not None:
            self.rest_refusals.append(answer_of(self.status))
            return None
        if self.page is not None:
            return self.page
        assert path.startswith("/list=")
        assert "?" not in path
        symbols = path.removeprefix("/list=").split(",")[: self.cut]
        return b"".join(self.rows.get(symbol, f'var hq_str_{symbol}="";\n'.encode()) for symbol in symbols)

    async def _admit(self, connection: Any, request: Any) -> Any:
        assert request.headers["Referer"] == "https://finance.sina.com.cn"
        found = await super()._admit(connection, request)
        return self.rest_refusals.pop(0) if self.rest_refusals else found


class Polling:
    """A feed that asks, and all that it gives."""

    def __init__(
        self,
        servers: list[Sina],
        streams: list[Subscription],
        clock: SetClock,
        *,
        calendar_of: CalendarOf = lambda _instrument: CALENDAR,
        capture: Capture | None = None,
        stale_after: float = 60.0,
    ) -> None:
        found = feeds.load("sina")
        assert isinstance(found, PolledVenue)
        venue = found.configured({"hosts": [server.rest_url for server in servers]})
        source = venue.source(Asking(clock, Allowances()))
        source.seconds = 0.02  # type: ignore[misc]
        options = ConnectionOptions(Backoff(0.02, 0.1), stale_after_seconds=stale_after)
        self.feed = PolledFeed("stocks", venue, source, clock=clock, calendar_of=calendar_of, options=options, capture=capture)
        self.streams = streams
        self.records: list[Record] = []

    async def __aenter__(self) -> Self:
        await self.feed.subscribe(self.streams)
        await self.feed.connect()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.feed.disconnect()
        await self._task

    async def _listen(self) -> None:
        async for record in self.feed:
            self.records.append(record)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN):
            while not condition():
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.005)

    def of(self, kind: type[Record], stream: Subscription = BANK) -> list[Any]:
        return [one for one in self.records if isinstance(one, kind) and getattr(one, "instrument", "") == stream.instrument]

    def states(self, stream: Subscription = BANK) -> list[FeedState]:
        return [status.state for status in self.of(FeedStatus, stream)]

    def reason(self, stream: Subscription = BANK) -> str:
        statuses = self.of(FeedStatus, stream)
        return str(statuses[-1].reason) if statuses else ""


async def servers(stack: AsyncExitStack, number: int) -> list[Sina]:
    found = [await stack.enter_async_context(Sina()) for _ in range(number)]
    for server in found:
        server.rows = {"sz000001": sina_row("sz000001"), "sz000002": sina_row("sz000002")}
    return found


def run(test: Callable[[AsyncExitStack], Any]) -> None:
    async def within() -> None:
        async with AsyncExitStack() as stack:
            await test(stack)

    asyncio.run(within())


def test_snapshots_become_quotes_and_trades_once_each() -> None:
    async def test(stack: AsyncExitStack) -> None:
        (server,) = await servers(stack, 1)
        polling = await stack.enter_async_context(Polling([server], [BANK, VANKE], SetClock(OPENING + HOUR)))
        await polling.until(lambda: polling.of(Quote) and polling.of(Quote, VANKE) and len(server.asked) > 5)
        assert len(polling.of(Quote)) == 1  # nothing has changed
        assert not polling.of(Trade)
        server.rows["sz000001"] = sina_row("sz000001", volume="1500", amount="15000", time="2024-08-09 10:00:03")
        await polling.until(lambda: polling.of(Trade))
        (trade,) = polling.of(Trade)
        assert (trade.price, trade.size) == (10 * ONE, 500 * ONE)
        assert [type(one) for one in polling.of(GapMark)] == [GapMark]
        assert polling.states() == [FeedState.CONNECTING, FeedState.LIVE]
        assert not polling.of(Trade, VANKE)
        assert polling.feed.get_status() is ConnectionStatus.SUBSCRIBED
        assert polling.feed.get_subscribed_tickers() == {BANK.instrument, VANKE.instrument}
        await polling.until(lambda: polling.of(TimeMark))

    run(test)


def test_an_address_that_fails_is_left_for_the_next_one() -> None:
    async def test(stack: AsyncExitStack) -> None:
        first, second = await servers(stack, 2)
        clock = SetClock(OPENING + HOUR)
        polling = await stack.enter_async_context(Polling([first, second], [BANK], clock))
        await polling.until(lambda: polling.of(Quote))
        assert not second.asked
        first.page = b"<html>too many visitors</html>"
        second.rows["sz000001"] = sina_row("sz000001", volume="1700", amount="17000", time="2024-08-09 10:00:03")
        await polling.until(lambda: polling.of(Trade))
        told = polling.of(FeedStatus)[-1]
        assert told.source == second.rest_url
        assert told.state is FeedState.LIVE
        assert FeedState.DOWN not in polling.states()
        asked = len(first.asked)
        await polling.until(lambda: len(second.asked) > 10)
        assert len(first.asked) == asked  # it is left alone for a while

    run(test)


def test_an_address_that_wants_to_be_left_alone_keeps_nobody_waiting() -> None:
    async def test(stack: AsyncExitStack) -> None:
        first, second = await servers(stack, 2)
        first.status = HTTPStatus.TOO_MANY_REQUESTS
        clock = SetClock(OPENING + HOUR)
        polling = await stack.enter_async_context(Polling([first, second], [BANK], clock))
        await polling.until(lambda: polling.of(Quote) and len(second.asked) > 5)
        assert len(first.asked) == 1
        assert FeedState.DOWN not in polling.states()

    run(test)


@pytest.mark.parametrize("status", [HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE])
def test_no_address_answers_and_then_one_does(status: HTTPStatus) -> None:
    async def test(stack: AsyncExitStack) -> None:
        found = await servers(stack, 2)
        for server in found:
            server.status = status
        polling = await stack.enter_async_context(Polling(found, [BANK], SetClock(OPENING + HOUR)))
        await polling.until(lambda: polling.feed.counts.reconnects > 3)
        assert polling.feed.get_status() is ConnectionStatus.RECONNECTING
        assert polling.states() == [FeedState.CONNECTING, FeedState.DOWN]
        assert f"HTTP status {status}" in polling.reason()
        found[1].status = None
        await polling.until(lambda: polling.of(Quote))
        assert polling.states()[-1] is FeedState.LIVE
        assert polling.feed.get_status() is ConnectionStatus.SUBSCRIBED

    run(test)


def test_unknown_and_suspended_are_told_by_name_and_spoil_nothing() -> None:
    async def test(stack: AsyncExitStack) -> None:
        (server,) = await servers(stack, 1)
        server.rows["sz000002"] = sina_row("sz000002", last="0.00", volume="0", amount="0", status="03")
        polling = await stack.enter_async_context(Polling([server], [BANK, VANKE, NOBODY], SetClock(OPENING + HOUR)))
        await polling.until(lambda: polling.of(Quote) and len(server.asked) > 5)
        assert polling.states(NOBODY) == [FeedState.CONNECTING, FeedState.DOWN]
        assert "not known" in polling.reason(NOBODY)
        assert polling.states(VANKE) == [FeedState.CONNECTING, FeedState.STALE]
        assert polling.reason(VANKE) == "suspended until further notice (status 03)"
        assert not polling.of(Quote, VANKE)
        server.rows["sz000002"] = sina_row("sz000002")
        await polling.until(lambda: polling.of(Quote, VANKE))
        assert polling.states(VANKE)[-1] is FeedState.LIVE
        assert polling.states() == [FeedState.CONNECTING, FeedState.LIVE]

    run(test)


def test_rows_left_out_are_asked_for_again() -> None:
    async def test(stack: AsyncExitStack) -> None:
        (server,) = await servers(stack, 1)
        server.cut = 1
        polling = await stack.enter_async_context(Polling([server], [BANK, VANKE], SetClock(OPENING + HOUR)))
        await polling.until(lambda: polling.of(Quote) and polling.of(Quote, VANKE))
        assert "/list=sz000002" in server.asked
        assert FeedState.DOWN not in polling.states(VANKE)

    run(test)


def test_a_row_that_cannot_be_read_is_a_dead_letter_of_its_own() -> None:
    async def test(stack: AsyncExitStack) -> None:
        (server,) = await servers(stack, 1)
        server.rows["sz000002"] = sina_row("sz000002", time="2024-13-09 10:00:00")
        polling = await stack.enter_async_context(Polling([server], [BANK, VANKE], SetClock(OPENING + HOUR)))
        await polling.until(lambda: polling.of(Quote) and len(server.asked) > 5)
        (letter,) = [one for one in polling.records if isinstance(one, DeadLetter)]
        assert (letter.reason, letter.source) == ("bad_time", "sina:hq")
        assert b"hq_str_sz000002" in (letter.value or b"")

    run(test)


def test_nothing_is_asked_while_the_market_is_closed() -> None:
    async def test(stack: AsyncExitStack) -> None:
        (server,) = await servers(stack, 1)
        clock = SetClock(MORNING.close + HOUR // 2)
        polling = await stack.enter_async_context(Polling([server], [BANK], clock))
        await polling.until(lambda: polling.feed.get_status() is ConnectionStatus.STOPPED)
        assert not server.asked
        clock.set(AFTERNOON.open)
        await polling.until(lambda: polling.of(Quote))
        clock.set(AFTERNOON.close + HOUR)  # behind the last session: the calendar says nothing of it any more
        await polling.until(lambda: len(server.asked) > 5)
        clock.set(MORNING.close + HOUR // 2)
        await polling.until(lambda: polling.feed.get_status() is ConnectionStatus.STOPPED)
        await polling.until(lambda: polling.states()[-1] is FeedState.STALE)  # what was put is told a moment later
        assert polling.reason() == "the market is closed"

    run(test)


def test_answers_that_stop_changing_are_stale_while_the_market_is_open() -> None:
    async def test(stack: AsyncExitStack) -> None:
        first, second = await servers(stack, 2)
        clock = SetClock(OPENING + HOUR)
        polling = await stack.enter_async_context(Polling([first, second], [BANK], clock, stale_after=0.5))
        await polling.until(lambda: FeedState.STALE in polling.states())
        assert "nothing has changed" in polling.reason()
        second.rows["sz000001"] = sina_row("sz000001", volume="1800", amount="18000", time="2024-08-09 10:30:03")
        await polling.until(lambda: polling.of(Trade))
        assert polling.states()[-1] is FeedState.LIVE

    run(test)


def test_a_feed_that_asks_is_stopped_and_started() -> None:
    async def test(stack: AsyncExitStack) -> None:
        (server,) = await servers(stack, 1)
        polling = await stack.enter_async_context(Polling([server], [BANK], SetClock(OPENING + HOUR)))
        await polling.until(lambda: polling.of(Quote))
        await polling.feed.stop("maintenance")
        asked = len(server.asked)
        assert polling.feed.get_status() is ConnectionStatus.STOPPED
        await polling.until(lambda: polling.reason() == "maintenance")
        assert polling.states()[-1] is FeedState.DOWN
        await asyncio.sleep(0.1)
        assert len(server.asked) == asked
        polling.feed.start()
        await polling.until(lambda: polling.states()[-1] is FeedState.LIVE)
        await polling.feed.unsubscribe([BANK])
        await polling.until(lambda: polling.states()[-1] is FeedState.DOWN)
        assert not polling.feed.get_subscribed_tickers()

    run(test)


def test_commands_on_the_control_topic_are_followed() -> None:
    async def test(stack: AsyncExitStack) -> None:
        (server,) = await servers(stack, 1)
        clock = SetClock(OPENING + HOUR)
        polling = await stack.enter_async_context(Polling([server], [BANK], clock))
        await polling.until(lambda: polling.of(Quote))
        controlling = Controlling([polling.feed], clock)
        for number, action in enumerate((ControlAction.STOP, ControlAction.START)):
            controlling.take(ControlCommand(str(number), "sina", action, (), (), "ann", "a test", clock.now(), None))
            await controlling.apply()
            wanted = FeedState.DOWN if action is ControlAction.STOP else FeedState.LIVE
            await polling.until(lambda wanted=wanted: polling.states()[-1] is wanted)  # type: ignore[misc]

    run(test)


def test_what_was_asked_is_captured_and_gives_the_same_records_again(tmp_path: Path) -> None:
    path = tmp_path / "stocks.gz"

    async def test(stack: AsyncExitStack) -> None:
        (server,) = await servers(stack, 1)
        server.rows |= {
            row.split(b'="')[0].removeprefix(b"var hq_str_").decode(): row + b"\n"
            for row in recorded("hq_three_one_empty_20190408.txt").splitlines()
        }
        streams = [BANK, *(Subscription(f"szse:{code}", "hq") for code in ("160922", "160923", "160924"))]
        capture = Capture(path, "sina")
        async with Polling([server], streams, SetClock(OPENING + HOUR), capture=capture) as polling:
            await polling.until(lambda: polling.of(Quote, streams[3]))
            server.rows["sz000001"] = sina_row("sz000001", volume="1500", amount="15000", time="2024-08-09 10:00:03")
            await polling.until(lambda: polling.of(Trade))
        live = [one for one in polling.records if isinstance(one, Quote | Trade)]
        playback = Playback(feeds.load("sina"))
        again = [one for item in read_recordings([path]) for one in playback.take(item)]
        assert [one for one in again if isinstance(one, Quote | Trade)] == live
        assert len(live) == 5

    run(test)
