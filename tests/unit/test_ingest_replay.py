"""Replays: what is played when, and that nothing but the recording decides what."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import ConnectionStatus, Subscription
from ingest.playback import Playback, skip
from ingest.recorded import Answer, Closed, Ended, Frame, Item, Opened, Skipped
from ingest.recordings import read_recordings
from ingest.replay import ReplayFeed
from ingest.shift import lag_to_close_a_minute
from market.feed_status import FeedState, FeedStatus
from market.trade import GapMark, TimeMark, Trade
from schemas.records import Record
from tests.builders import INSTRUMENT, MINUTE
from tests.ingest_parts import FUTURES, FUTURES_LISTING, NOW, SAMPLE, SPOT, FakeClock, played, trade_frame

SECOND = 1_000_000
DAY_AFTER = NOW + 86_400 * SECOND


def frame(number: int, after: float) -> Frame:
    """A trade frame so many seconds after the start."""
    at = NOW + round(after * SECOND)
    return Frame(at, "line", trade_frame(number, at=at))


FRAMES: list[Item] = [frame(1, 0), frame(2, 0.5), frame(3, 2.0), Ended(NOW + 2 * SECOND, "line")]


def feed(items: Iterable[Item], clock: FakeClock | None = None, **options: Any) -> ReplayFeed:
    return ReplayFeed("replay", Playback(feeds.load("binance")), items, clock=clock or FakeClock(), **options)


def collect(replay: ReplayFeed, each: Callable[[Record], None] = lambda _record: None) -> list[Record]:
    async def run() -> list[Record]:
        records = []
        async with replay:
            async for record in replay:
                records.append(record)
                each(record)
        return records

    return asyncio.run(run())


def trades(records: Iterable[Record]) -> list[Trade]:
    return [record for record in records if isinstance(record, Trade)]


# pace


@pytest.mark.parametrize(("speed", "pauses"), [(1.0, [0.5, 1.5]), (10.0, [0.05, 0.15]), (0.5, [1.0, 3.0])])
def test_frames_come_at_the_pace_asked_for(speed: float, pauses: list[float]) -> None:
    clock = FakeClock()
    collect(feed(FRAMES, clock, speed=speed))
    assert clock.pauses == pytest.approx(pauses, abs=1e-5)


def test_as_fast_as_it_goes_waits_for_nothing() -> None:
    clock = FakeClock()
    collect(feed(FRAMES, clock, speed=None))
    assert clock.pauses == []


def test_replay_that_fell_behind_catches_up() -> None:
    clock = FakeClock()

    def be_slow(record: Record) -> None:
        if isinstance(record, Trade) and record.trade_id == "1":
            clock.time += SECOND

    collect(feed(FRAMES, clock), be_slow)
    assert clock.pauses == [pytest.approx(1.0)]


# times


def test_times_as_recorded_do_not_depend_on_clock_and_speed() -> None:
    runs = [collect(feed(FRAMES, FakeClock(start), speed=speed)) for start in (NOW, DAY_AFTER) for speed in (None, 1.0, 1000.0)]
    assert all(run == runs[0] for run in runs)
    assert [trade.received_at for trade in trades(runs[0])] == [NOW, NOW + SECOND // 2, NOW + 2 * SECOND]


def test_moved_times_keep_their_distances() -> None:
    moved = trades(collect(feed(FRAMES, FakeClock(DAY_AFTER), lag=lambda _now: 0)))
    assert [trade.received_at - DAY_AFTER for trade in moved] == [0, SECOND // 2, 2 * SECOND]
    assert [trade.exchange_time for trade in moved] == [trade.received_at for trade in moved]


def test_moved_trades_are_new_trades() -> None:
    moved = trades(collect(feed(FRAMES, FakeClock(DAY_AFTER), lag=lambda _now: 0)))
    assert [int(trade.trade_id) - DAY_AFTER for trade in moved] == [1, 2, 3]
    assert [trade.sequence - DAY_AFTER for trade in moved] == [1, 2, 3]


def test_moved_marks_lie_in_the_time_of_the_events() -> None:
    start = DAY_AFTER + 10 * SECOND
    records = collect(feed(FRAMES, FakeClock(start), lag=lambda now: lag_to_close_a_minute(now, 20 * SECOND)))
    first = trades(records)[0]
    assert first.received_at == start
    assert first.exchange_time is not None
    assert first.exchange_time == start - 30 * SECOND  # 20 s before a full minute
    assert first.exchange_time % MINUTE == 40 * SECOND
    marks = [record for record in records if isinstance(record, TimeMark)]
    assert [mark.time - first.exchange_time for mark in marks] == [2 * SECOND, 2 * SECOND]
    gap = next(record for record in records if isinstance(record, GapMark))
    assert gap == GapMark(INSTRUMENT, None, first.exchange_time)


# what a recording's events mean


def test_end_of_the_recording_is_told() -> None:
    records = collect(feed(FRAMES, speed=None))
    assert records[-2:] == [
        TimeMark(INSTRUMENT, NOW + 2 * SECOND),
        FeedStatus("binance", "trade", INSTRUMENT, FeedState.DOWN, "the recording ends", NOW + 2 * SECOND),
    ]


def test_loss_of_the_recorded_connection_is_a_loss_again() -> None:
    items: list[Item] = [
        Opened(NOW, "line", "wss://stream.binance.com"),
        frame(1, 0),
        Closed(NOW + SECOND, "line", "cable cut"),
        Opened(NOW + 2 * SECOND, "line", "wss://stream.binance.com"),
        frame(5, 3),
    ]
    records = played(items)
    assert GapMark(INSTRUMENT, NOW, NOW + 3 * SECOND) in records
    states = [(record.state, record.reason) for record in records if isinstance(record, FeedStatus)]
    assert (FeedState.DOWN, "cable cut") in states


def test_connection_opened_twice_was_lost_between() -> None:
    opened = Opened(NOW, "line", "wss://stream.binance.com")
    items: list[Item] = [opened, frame(1, 0), opened._replace(at=NOW + SECOND), frame(5, 3)]
    records = played(items)
    assert GapMark(INSTRUMENT, NOW, NOW + 3 * SECOND) in records


def test_market_is_that_of_the_recorded_address() -> None:
    items: list[Item] = [Opened(NOW, "line", "wss://fstream.binance.com/stream"), Frame(NOW, "line", trade_frame(M=...))]
    assert trades(played(items))[0].instrument == "binance:BTC-USDT-PERP"


def test_market_that_the_recording_states_wins() -> None:
    items: list[Item] = [Opened(NOW, "line", "ws://127.0.0.1:9", "usdm"), Frame(NOW, "line", trade_frame(M=...))]
    assert trades(played(items))[0].instrument == "binance:BTC-USDT-PERP"


def test_recorded_listing_names_the_instruments() -> None:
    body = b'{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BT","quoteAsset":"CUSDT"}]}'
    listing = Answer(NOW, "https://api.binance.com/api/v3/exchangeInfo", body)
    items: list[Item] = [listing, frame(1, 0)]
    assert trades(played(items))[0].instrument == "binance:BT-CUSDT"


def test_damaged_listing_is_a_dead_letter() -> None:
    playback = Playback(feeds.load("binance"))
    played([Answer(NOW, "https://api.binance.com/api/v3/exchangeInfo", b"{")], playback=playback)
    assert playback.session.counts.rejected == {"malformed_json": 1}


def test_what_is_no_frame_is_counted_by_name() -> None:
    playback = Playback(feeds.load("binance"))
    items: list[Item] = [
        Skipped(NOW, "sent"),
        Answer(NOW, "https://api.binance.com/api/v3/time?x=A", b"{}"),
        Opened(NOW, "line", "wss://x"),
    ]
    assert played(items, playback=playback) == []
    assert playback.skipped == {"sent": 1, "REST time": 1, "connection": 1}


def test_beginning_can_be_left_out() -> None:
    opened = Opened(NOW - 1, "line", "wss://fstream.binance.com")
    assert list(skip([opened, *FRAMES], SECOND)) == [opened, *FRAMES[2:]]
    assert list(skip(FRAMES, 0)) == FRAMES


# the feed's interface


def test_status_follows_the_replay() -> None:
    replay = feed(FRAMES, speed=None)
    assert replay.get_status() is ConnectionStatus.DISCONNECTED
    seen = set()
    collect(replay, lambda _record: seen.add(replay.get_status()))
    assert seen == {ConnectionStatus.SUBSCRIBED}
    assert replay.get_status() is ConnectionStatus.DISCONNECTED
    assert replay.get_subscribed_tickers() == {INSTRUMENT}


def test_disconnected_replay_ends() -> None:
    async def run() -> list[Record]:
        replay, records = feed(FRAMES), []
        async with replay:
            async for record in replay:
                records.append(record)
                await replay.disconnect()
        return records

    records = asyncio.run(run())
    assert len(trades(records)) == 1
    assert records[-1] == FeedStatus("binance", "trade", INSTRUMENT, FeedState.DOWN, "stopped", NOW + SECOND // 2)


def test_unsubscribed_stream_is_left_out() -> None:
    async def run() -> list[Record]:
        replay = feed(FRAMES, speed=None)
        await replay.unsubscribe([Subscription(INSTRUMENT, "trade")])
        async with replay:
            return [record async for record in replay]

    assert asyncio.run(run()) == [FeedStatus("binance", "trade", INSTRUMENT, FeedState.DOWN, "unsubscribed", NOW)]


# whole recordings


@pytest.mark.parametrize("paths", [SAMPLE[1:], [FUTURES_LISTING, FUTURES, SPOT]], ids=["sample", "spot and futures"])
def test_same_recording_gives_the_same_records(paths: list[Path]) -> None:
    first, again = (played(islice(read_recordings(paths), 5_000)) for _ in range(2))
    assert first == again
    assert len(first) > 800


def test_unnamed_connections_of_two_recordings_are_never_taken_for_one(tmp_path: Path) -> None:
    paths = [tmp_path / "spot", tmp_path / "futures"]
    marks_of_market: list[dict[str, Any]] = [{"M": True}, {"M": ..., "X": "MARKET"}]
    for path, fields in zip(paths, marks_of_market, strict=True):
        path.write_bytes(b"".join(b"%d000 %s\n" % (NOW + at, trade_frame(at, **fields)) for at in (1, 2)))
    counted = Counter(trade.instrument for trade in trades(played(read_recordings(paths))))
    assert counted == {"binance:BTC-USDT": 2, "binance:BTC-USDT-PERP": 2}


def test_instruments_of_a_recording_that_ended_get_no_time_marks_from_a_later_one() -> None:
    records = played(read_recordings([SPOT, FUTURES]))
    futures = [record for record in records if isinstance(record, TimeMark) and record.instrument.endswith("-PERP")]
    assert len(futures) > 50
    assert all(mark.time < 1_627_000_000_000_000 for mark in futures)
