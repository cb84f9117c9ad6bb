"""What a session makes of the events of its lines."""

import json

import pytest

from ingest import feeds
from ingest.feed import Parsed, Subscription
from ingest.session import Session
from market.dead_letter import DeadLetter
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind, Level
from market.feed_status import FeedState, FeedStatus
from market.quote import Kline
from market.trade import GapMark, TimeMark, Trade
from schemas.records import Record
from tests.builders import INSTRUMENT, make_trade
from tests.ingest_parts import NOW, combined, parser, trade_frame

LINE = "line"
TRADES = Subscription(INSTRUMENT, "trade")
QUOTES = Subscription(INSTRUMENT, "bookTicker")
QUOTE = combined("btcusdt@bookTicker", {"u": 1, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"})
KLINES = Subscription(INSTRUMENT, "kline_1m")
SECOND = 1_000_000


@pytest.fixture
def session() -> Session:
    """A session with one open line of Binance spot."""
    session = Session("binance", ("reply",))
    session.add_line(LINE, parser("spot"))
    session.restored(LINE, NOW)
    return session


def states(records: list[Record]) -> list[tuple[str, FeedState]]:
    return [(record.channel, record.state) for record in records if isinstance(record, FeedStatus)]


def without_states(records: list[Record]) -> list[Record]:
    return [record for record in records if not isinstance(record, FeedStatus)]


def test_trade_comes_after_its_state_and_its_gap_mark(session: Session) -> None:
    records = session.received(LINE, trade_frame(1), NOW)
    assert [type(record) for record in records] == [FeedStatus, GapMark, Trade]
    assert states(records) == [("trade", FeedState.LIVE)]


def test_state_is_told_when_it_changes_only(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    assert states(session.received(LINE, trade_frame(2), NOW)) == []


def test_time_marks_come_before_the_record_that_shows_the_time(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    records = session.received(LINE, trade_frame(2), NOW + SECOND)
    assert [type(record) for record in records] == [TimeMark, Trade]


def test_time_passes_without_frames(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    assert session.tick(NOW + SECOND + 5) == [TimeMark(INSTRUMENT, NOW + SECOND)]


def test_refused_frame_becomes_a_dead_letter_with_its_bytes(session: Session) -> None:
    frame = trade_frame(p="NaN")
    (letter,) = session.received(LINE, frame, NOW + 7)
    assert letter == DeadLetter(
        source="binance:trade",
        source_partition=None,
        source_offset=None,
        stage="ingest",
        reason="not_a_decimal",
        error="price: 'NaN' is not a decimal number",
        field="price",
        key=None,
        value=frame,
        truncated=False,
        failed_at=NOW + 7,
    )


DEPTH = Subscription(INSTRUMENT, "depth@100ms")


def depth_frame(first: int, last: int, *, bid: str = "1", channel: str = DEPTH.channel) -> bytes:
    message = {"e": "depthUpdate", "E": NOW // 1000, "s": "BTCUSDT", "U": first, "u": last, "b": [[bid, "1"]], "a": []}
    return combined(f"btcusdt@{channel}", message)


def book(last: int) -> Parsed:
    asks = (Level(9 * ONE, ONE),)
    depth = Depth(INSTRUMENT, DepthKind.SNAPSHOT, (), asks, None, last, None, None, None, NOW)
    return Parsed("depth snapshot", (depth,))


def books(records: list[Record]) -> list[tuple[DepthKind, BookState]]:
    return [(record.kind, record.state) for record in records if isinstance(record, Depth)]


def test_book_waits_for_its_snapshot_and_tells_the_whole_book_then(session: Session) -> None:
    records = session.received(LINE, depth_frame(11, 12, bid="2"), NOW)
    assert (states(records), books(records)) == ([(DEPTH.channel, FeedState.RESYNC)], [(DepthKind.DELTA, BookState.SYNCING)])
    assert [followed.stream for followed in session.unsynced()] == [DEPTH]
    records = session.answered(book(10), NOW)
    assert session.unsynced() == []
    assert (states(records), books(records)) == ([(DEPTH.channel, FeedState.LIVE)], [(DepthKind.SNAPSHOT, BookState.LIVE)])
    (whole,) = without_states(records)
    assert isinstance(whole, Depth)
    assert (whole.bids, whole.asks, whole.last_sequence) == ((Level(2 * ONE, ONE),), (Level(9 * ONE, ONE),), 12)
    records = session.received(LINE, depth_frame(13, 14), NOW)
    assert (states(records), books(records)) == ([], [(DepthKind.DELTA, BookState.LIVE)])


def test_book_is_told_whole_each_minute(session: Session) -> None:
    session.answered(book(10), NOW)
    session.received(LINE, depth_frame(11, 12, bid="2"), NOW)
    session.received(LINE, depth_frame(13, 14, bid="3"), NOW + 59 * SECOND)
    records = session.received(LINE, depth_frame(15, 16, bid="4"), NOW + 60 * SECOND)
    assert books(records) == [(DepthKind.DELTA, BookState.LIVE), (DepthKind.SNAPSHOT, BookState.LIVE)]
    whole = records[-1]
    assert isinstance(whole, Depth)
    assert ([level.price // ONE for level in whole.bids], whole.last_sequence, whole.first_sequence) == ([4, 3, 2], 16, None)
    assert books(session.received(LINE, depth_frame(17, 18), NOW + 61 * SECOND)) == [(DepthKind.DELTA, BookState.LIVE)]


def test_snapshot_that_comes_before_the_stream_is_kept_for_it(session: Session) -> None:
    assert session.answered(book(10), NOW) == []
    records = session.received(LINE, depth_frame(11, 12), NOW)
    assert books(records) == [(DepthKind.SNAPSHOT, BookState.LIVE), (DepthKind.DELTA, BookState.LIVE)]
    assert states(records) == [(DEPTH.channel, FeedState.LIVE)]


def test_missed_delta_is_told_with_its_numbers_until_a_snapshot(session: Session) -> None:
    session.answered(book(10), NOW)
    session.received(LINE, depth_frame(11, 12), NOW)
    records = session.received(LINE, depth_frame(14, 15), NOW)
    assert books(records) == [(DepthKind.DELTA, BookState.GAP)]
    (status,) = [record for record in records if isinstance(record, FeedStatus)]
    assert (status.state, status.reason) == (FeedState.GAP, "14…15 does not follow 12")
    assert states(session.received(LINE, depth_frame(16, 17), NOW)) == []
    assert states(session.answered(book(15), NOW)) == [(DEPTH.channel, FeedState.LIVE)]


def test_delta_that_the_book_has_already_is_left_out(session: Session) -> None:
    session.answered(book(10), NOW)
    session.received(LINE, depth_frame(11, 12), NOW)
    assert session.received(LINE, depth_frame(11, 12), NOW) == []
    assert session.counts.ignored == {"depth@100ms, old": 1}


def test_second_channel_of_a_book_is_left_out(session: Session) -> None:
    session.received(LINE, depth_frame(11, 12), NOW)
    assert session.received(LINE, depth_frame(11, 12, channel="depth"), NOW) == []
    assert session.counts.ignored == {"depth beside depth@100ms": 1}


@pytest.mark.parametrize(("first", "state"), [(13, BookState.LIVE), (14, BookState.GAP)])
def test_book_goes_on_after_its_line_was_down_if_nothing_was_missed(session: Session, first: int, state: BookState) -> None:
    session.answered(book(10), NOW)
    session.received(LINE, depth_frame(11, 12), NOW)
    session.lost(LINE, NOW, "closed")
    assert session.answered(book(11), NOW) == []
    session.restored(LINE, NOW)
    records = session.received(LINE, depth_frame(first, 15), NOW)
    assert books(records) == [(DepthKind.DELTA, state)]
    assert states(records) == [(DEPTH.channel, FeedState(state.value))]


def test_other_channel_may_tell_of_a_book_whose_channel_is_down(session: Session) -> None:
    session.received(LINE, depth_frame(11, 12), NOW)
    session.lost(LINE, NOW, "closed")
    session.restored(LINE, NOW)
    records = session.received(LINE, depth_frame(11, 12, channel="depth"), NOW)
    assert (states(records), books(records)) == ([("depth", FeedState.RESYNC)], [(DepthKind.DELTA, BookState.SYNCING)])


def test_snapshot_that_comes_while_the_line_is_down_is_kept_for_it(session: Session) -> None:
    session.answered(book(10), NOW)
    session.received(LINE, depth_frame(11, 12), NOW)
    session.lost(LINE, NOW, "closed")
    assert session.answered(book(20), NOW) == []
    session.restored(LINE, NOW)
    records = session.received(LINE, depth_frame(19, 22), NOW)
    assert books(records) == [(DepthKind.SNAPSHOT, BookState.LIVE), (DepthKind.DELTA, BookState.LIVE)]
    assert session.unsynced() == []


def test_book_that_was_unsubscribed_is_left_out(session: Session) -> None:
    session.received(LINE, depth_frame(11, 12), NOW)
    session.unsubscribed(LINE, [DEPTH], NOW)
    assert books(session.received(LINE, depth_frame(13, 14), NOW)) == []
    assert session.answered(book(14), NOW) == []


def test_everything_is_counted(session: Session) -> None:
    for frame in (trade_frame(1), trade_frame(2), QUOTE, b"?", combined("btcusdt@miniTicker", {}), b'{"result":null,"id":1}'):
        session.received(LINE, frame, NOW)
    counts = session.counts
    assert counts.frames == 6
    assert counts.received == {"trade": 2, "bookTicker": 1, "miniTicker": 1, "reply": 1}
    assert counts.ignored == {"miniTicker": 1, "reply": 1}
    assert counts.rejected == {"malformed_json": 1}
    assert counts.records[Trade] == 2


# polling


def kline(minute: int, *, is_closed: bool) -> Kline:
    prices, nothing = (2 * ONE, 3 * ONE, ONE, 2 * ONE), (None,) * 6
    return Kline(INSTRUMENT, "1m", NOW + minute * 60 * SECOND, *prices, *nothing, is_closed, None, NOW)


def test_polled_kline_that_was_told_closed_is_left_out(session: Session) -> None:
    session.add_line("rest", parser("spot"), "rest")

    def poll(*klines: Kline) -> list[Record]:
        return without_states(session.polled("rest", KLINES, Parsed("kline_1m", klines), NOW))

    open_, closed, following = kline(0, is_closed=False), kline(0, is_closed=True), kline(1, is_closed=False)
    assert poll(open_) == [open_]
    assert poll(closed, following) == [closed, following]
    assert poll(closed, following) == [following]
    assert poll(open_) == []
    assert session.counts.ignored == {"kline_1m, told before": 2}


def test_polled_kline_does_not_replace_the_one_the_stream_told_closed(session: Session) -> None:
    session.add_line("rest", parser("spot"), "rest")
    prices = {"o": "2", "h": "3", "l": "1", "c": "2", "v": "1", "q": "2", "V": "1", "n": 2, "f": 1, "L": 2}
    message = {"t": NOW // 1000, "T": NOW // 1000 + 59_999, "s": "BTCUSDT", "i": "1m", "x": True, **prices}
    frame = combined("btcusdt@kline_1m", {"e": "kline", "E": NOW // 1000 + 60_000, "s": "BTCUSDT", "k": message})
    told = without_states(session.received(LINE, frame, NOW + 60 * SECOND))
    assert [type(record) for record in told] == [Kline]
    answer = Parsed("kline_1m", [kline(0, is_closed=True), kline(1, is_closed=False)])
    assert without_states(session.polled("rest", KLINES, answer, NOW + 61 * SECOND)) == [kline(1, is_closed=False)]


# losing and restoring


def test_connecting_is_told_for_what_is_subscribed(session: Session) -> None:
    records = session.connecting(LINE, [TRADES, QUOTES], NOW, "connecting to x")
    assert records == [
        FeedStatus("binance", "trade", INSTRUMENT, FeedState.CONNECTING, "connecting to x", NOW),
        FeedStatus("binance", "bookTicker", INSTRUMENT, FeedState.CONNECTING, "connecting to x", NOW),
    ]
    assert session.connecting(LINE, [TRADES], NOW, "again") == []


def test_lost_line_takes_down_every_stream(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.received(LINE, QUOTE, NOW)
    records = session.lost(LINE, NOW + 1, "cable cut")
    assert states(records) == [("trade", FeedState.DOWN), ("bookTicker", FeedState.DOWN)]
    assert all(record.reason == "cable cut" for record in records if isinstance(record, FeedStatus))


def test_lost_line_has_no_time_marks_until_it_is_back(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.lost(LINE, NOW + 1, "cable cut")
    assert session.tick(NOW + SECOND) == []
    assert session.restored(LINE, NOW + 2 * SECOND + 1) == []
    assert session.tick(NOW + 3 * SECOND) == [TimeMark(INSTRUMENT, NOW + 3 * SECOND)]


def test_gap_after_a_loss_is_told_as_a_state_too(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.lost(LINE, NOW + 1, "cable cut")
    session.restored(LINE, NOW + 2)
    records = session.received(LINE, trade_frame(9, at=NOW + 1000), NOW + 3)
    assert states(records) == [("trade", FeedState.LIVE), ("trade", FeedState.GAP), ("trade", FeedState.LIVE)]
    assert without_states(records)[0] == GapMark(INSTRUMENT, NOW, NOW + 1000)


def test_nothing_missed_during_a_loss_is_no_gap(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.lost(LINE, NOW + 1, "cable cut")
    session.restored(LINE, NOW + 2)
    records = session.received(LINE, trade_frame(2, at=NOW + 1000), NOW + 3)
    assert [type(record) for record in without_states(records)] == [Trade]
    assert states(records) == [("trade", FeedState.LIVE)]


def test_refused_trade_leaves_a_gap(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.received(LINE, trade_frame(2, p="x"), NOW)
    records = session.received(LINE, trade_frame(3, at=NOW + 1000), NOW + 3)
    assert without_states(records)[0] == GapMark(INSTRUMENT, NOW, NOW + 1000)


@pytest.mark.parametrize(("refused", "is_gap"), [("trade", True), ("not JSON", True), ("bookTicker", False)])
def test_refused_frame_where_ids_may_have_holes_leaves_a_gap_if_it_may_have_been_a_trade(refused: str, is_gap: bool) -> None:
    session = Session("binance", ("reply",))
    session.add_line(LINE, parser("usdm"))
    session.restored(LINE, NOW)
    perpetual = f"{INSTRUMENT}-PERP"
    frames = {"trade": trade_frame(2, p="x"), "not JSON": b"{", "bookTicker": combined("btcusdt@bookTicker", {"s": 1})}
    session.received(LINE, trade_frame(1), NOW)
    session.received(LINE, frames[refused], NOW)
    records = without_states(session.received(LINE, trade_frame(3, at=NOW + 1000), NOW + 3))
    assert ([GapMark(perpetual, NOW, NOW + 1000)] == records[:-1]) is is_gap
    assert isinstance(records[-1], Trade)


def test_end_of_a_recording_has_a_last_time_mark(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    records = session.ended(LINE, NOW + 300, "it ends")
    assert without_states(records) == [TimeMark(INSTRUMENT, NOW + 300)]
    assert states(records) == [("trade", FeedState.DOWN)]


def test_line_without_trades_of_an_instrument_does_not_stop_its_marks(session: Session) -> None:
    session.add_line("quotes", parser("spot"))
    session.received(LINE, trade_frame(1), NOW)
    session.received("quotes", QUOTE, NOW)
    session.lost("quotes", NOW + 1, "cable cut")
    assert session.tick(NOW + SECOND) == [TimeMark(INSTRUMENT, NOW + SECOND)]


def missed(number: int) -> Parsed:
    """The venue's answer about a trade that is missing."""
    return Parsed("trade", (make_trade(number),))


def test_missed_trade_heals_its_gap(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.received(LINE, trade_frame(3), NOW)
    assert session.missing() == [("trade", (INSTRUMENT, 2, 2))]
    assert [type(record) for record in session.answered(missed(2), NOW)] == [GapMark, Trade]
    assert session.missing() == []


def test_missed_trade_that_is_told_after_the_line_was_lost_does_not_bring_it_back(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.received(LINE, trade_frame(3), NOW)
    session.lost(LINE, NOW + 1, "cable cut")
    assert session.answered(missed(2), NOW + 2) == []
    assert session.tick(NOW + SECOND) == []
    session.restored(LINE, NOW + SECOND)
    assert session.missing() == []  # asked for once the stream is live
    session.received(LINE, trade_frame(4), NOW + SECOND)
    assert session.missing() == [("trade", (INSTRUMENT, 2, 2))]
    assert [type(record) for record in session.answered(missed(2), NOW + SECOND)] == [GapMark, Trade]


def test_missed_trade_comes_by_the_line_that_is_live(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.received(LINE, trade_frame(3), NOW)
    session.add_line("other", parser("spot"))
    session.received("other", trade_frame(4), NOW)
    session.lost(LINE, NOW + 1, "cable cut")
    assert states(session.answered(missed(2), NOW + 2)) == []
    assert states(session.lost("other", NOW + 3, "cable cut")) == [("trade", FeedState.DOWN)]


# silence


def test_silence_is_measured_by_market_data(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW + 10)
    session.received(LINE, b'{"result":null,"id":1}', NOW + 500)
    assert session.silence(LINE, NOW + 1000) == 990


def test_silence_begins_when_the_line_opens(session: Session) -> None:
    assert session.silence(LINE, NOW + 1000) == 1000
    session.lost(LINE, NOW + 1000, "cable cut")
    assert session.silence(LINE, NOW + 9000) == 0


def test_refused_frames_are_no_life(session: Session) -> None:
    session.received(LINE, b"?", NOW + 500)
    assert session.silence(LINE, NOW + 1000) == 1000


# subscriptions


def test_stop_is_told_once_of_a_stream_that_was_down_before_it(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.lost(LINE, NOW, "no data for 1 s")
    told = [record for _ in range(2) for record in session.stopped(LINE, [TRADES], NOW, "stop by ann")]
    assert told == [FeedStatus("binance", "trade", INSTRUMENT, FeedState.DOWN, "stop by ann", NOW)]


def test_unsubscribed_stream_is_told_to_be_down_and_left_out(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    assert states(session.unsubscribed(LINE, [TRADES, QUOTES], NOW)) == [("trade", FeedState.DOWN)]
    assert session.received(LINE, trade_frame(2), NOW + 1) == []  # it was on the way
    assert session.counts.ignored == {"trade": 1}
    assert session.instruments() == frozenset()


def test_unsubscribed_stream_that_was_stale_is_told_to_be_down(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.lost(LINE, NOW, "cable cut")
    session.switched([TRADES], FeedState.STALE, "switched", "rest", NOW)
    (status,) = session.unsubscribed(LINE, [TRADES], NOW, "not wanted")
    assert isinstance(status, FeedStatus)
    assert (status.state, status.reason) == (FeedState.DOWN, "not wanted")


def test_instrument_whose_trades_are_unsubscribed_gets_no_time_marks(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.unsubscribed(LINE, [TRADES], NOW)
    assert session.tick(NOW + SECOND) == []
    session.lost(LINE, NOW + SECOND, "cable cut")
    session.restored(LINE, NOW + SECOND + 1)
    assert session.tick(NOW + 2 * SECOND) == []


def test_subscribing_again_shows_what_was_missed(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.unsubscribed(LINE, [TRADES], NOW)
    session.connecting(LINE, [TRADES], NOW + 1, "again")
    records = session.received(LINE, trade_frame(9, at=NOW + 1000), NOW + 2)
    assert without_states(records)[0] == GapMark(INSTRUMENT, NOW, NOW + 1000)
    assert session.tick(NOW + SECOND) == [TimeMark(INSTRUMENT, NOW + SECOND)]


def test_muted_stream_is_left_out(session: Session) -> None:
    session.received(LINE, trade_frame(1), NOW)
    session.mute([TRADES])
    assert states(session.received(LINE, trade_frame(2), NOW)) == [("trade", FeedState.DOWN)]
    assert session.received(LINE, trade_frame(3), NOW) == []
    assert session.instruments() == frozenset()
    session.unmute([TRADES])
    assert session.instruments() == {INSTRUMENT}
    assert without_states(session.received(LINE, trade_frame(4), NOW)) != []


def test_second_trade_channel_of_an_instrument_is_ignored_by_name(session: Session) -> None:
    aggregate = {"s": "BTCUSDT", "a": 1, "f": 1, "l": 1, "p": "1", "q": "1", "T": NOW // 1000, "m": True}
    session.received(LINE, trade_frame(1), NOW)
    assert session.received(LINE, combined("btcusdt@aggTrade", aggregate), NOW) == []
    assert session.counts.ignored == {"aggTrade beside trade": 1}


# venues that number trades apart from their ids, and name streams by ids of a connection


def sequenced(number: int, *, side: str = "buy") -> bytes:
    trade = {"uid": f"u{number}", "side": side, "seq": number, "time": NOW // 1000 + number, "qty": 1, "price": 2}
    return json.dumps({"feed": "trade", "product_id": "PI_XBTUSD"} | trade).encode()


def numbering() -> Session:
    session = Session("kraken_futures", (), once=True)
    session.add_line(LINE, feeds.load("kraken_futures").parser("derivatives", {}, SECOND))
    session.restored(LINE, NOW)
    return session


def test_hole_in_the_sequences_of_a_venue_is_a_gap_whatever_the_ids_are() -> None:
    session = numbering()
    session.received(LINE, sequenced(1), NOW)
    assert [type(record) for record in session.received(LINE, sequenced(2), NOW)] == [Trade]
    records = without_states(session.received(LINE, sequenced(5), NOW))
    instrument, at = "kraken_futures:BTC-USD-PERP", NOW + 1000 * 2
    assert records[:-1] == [GapMark(instrument, at, NOW + 1000 * 5)]
    assert [record.trade_id for record in records if isinstance(record, Trade)] == ["u5"]
    (healed, _) = without_states([*session.received(LINE, sequenced(3), NOW), *session.received(LINE, sequenced(4), NOW)][1:])
    assert healed == GapMark(instrument, at, NOW + 1000 * 5, healed=True)


def test_trade_that_was_told_before_the_line_was_lost_is_told_once_and_a_refused_one_shows_by_its_number() -> None:
    session = numbering()
    session.received(LINE, sequenced(1), NOW)
    session.lost(LINE, NOW, "cut")
    session.restored(LINE, NOW)
    assert session.received(LINE, sequenced(1), NOW)[1:] == []
    assert isinstance(session.received(LINE, sequenced(2, side="x"), NOW)[0], DeadLetter)
    assert [type(record) for record in without_states(session.received(LINE, sequenced(3), NOW))] == [GapMark, Trade]


def test_streams_are_ended_by_the_parser_only_where_the_venue_names_them_anew() -> None:
    stream = Subscription("bitfinex:BTC-USD", "trades")
    session = Session("bitfinex", ())
    session.add_line(LINE, feeds.load("bitfinex").parser("v2", {}, SECOND))
    session.restored(LINE, NOW)
    session.received(LINE, b'{"event":"subscribed","channel":"trades","chanId":7,"symbol":"tBTCUSD"}', NOW)
    assert session.unsubscriptions(LINE, [stream]) == ['{"event":"unsubscribe","chanId":7}']
    assert numbering().unsubscriptions(LINE, [stream]) is None


def test_bad_frame_after_a_trade_stream_was_unsubscribed_is_refused_as_any_other() -> None:
    session = Session("binance", ())
    session.add_line(LINE, parser())
    session.received(LINE, trade_frame(1), NOW)
    session.unsubscribed(LINE, [Subscription("binance:BTC-USDT", "trade")], NOW)
    (letter,) = session.received(LINE, b'{"stream":"btcusdt@trade","data":{}}', NOW)
    assert isinstance(letter, DeadLetter)
