"""What waits for one client."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from gateway.close_codes import CloseCode
from gateway.messages import Message, Room, Source
from gateway.outbox import Outbox, OutboxLimits

QUOTE = Room("QUOTE", "binance:BTC-USDT")
TRADE = Room("TRADE", "binance:BTC-USDT")
OTHER_TRADE = Room("TRADE", "binance:ETH-USDT")


def quote(offset: int, room: Room = QUOTE) -> tuple[Message, bytes]:
    frame = b"quote %d" % offset
    return Message(room, room, Source("md.quotes", 0, offset), frame), frame


def trade(offset: int, room: Room = TRADE) -> tuple[Message, bytes]:
    frame = b"trade %d" % offset
    return Message(room, None, Source("md.trades", 0, offset), frame), frame


def make_outbox(**limits: int) -> tuple[Outbox, list[list[bytes]]]:
    writes: list[list[bytes]] = []
    return Outbox(writes.append, OutboxLimits(**limits)), writes


def test_pending_frames_go_out_in_one_write() -> None:
    outbox, writes = make_outbox()
    outbox.pending += [b"a", b"b"]
    outbox.flush()
    outbox.flush()
    assert writes == [[b"a", b"b"]]


def test_nothing_is_written_while_the_client_is_behind() -> None:
    outbox, writes = make_outbox()
    outbox.pending.append(b"before")
    outbox.behind = True
    outbox.flush()
    assert writes == []
    assert outbox.catch_up().pending == [b"before"]


def test_client_behind_gets_the_latest_of_each_key() -> None:
    outbox, _ = make_outbox()
    candle = Message(Room("KLINE", "x", "1m"), ("x", 60), Source("md.candles", 0, 1), b"candle")
    for kept in (quote(1), (candle, b"candle"), quote(2)):
        outbox.keep(*kept)
    backlog = outbox.catch_up()
    assert sorted(backlog.kept) == [b"candle", b"quote 2"]
    assert backlog.conflated == 1


def test_trades_beyond_the_bound_become_a_gap_before_those_that_are_left() -> None:
    outbox, _ = make_outbox(messages=2)
    for offset in (1, 2, 3, 4):
        outbox.keep(*trade(offset))
    backlog = outbox.catch_up()
    assert backlog.kept == [b"trade 3", b"trade 4"]
    (gap,) = backlog.gaps
    assert (gap.room, gap.first.offset, gap.last.offset, gap.dropped) == (TRADE, 1, 2, 2)


def test_gap_is_told_for_each_room_apart() -> None:
    outbox, _ = make_outbox(messages=1)
    for kept in (trade(1), trade(2, OTHER_TRADE), trade(3)):
        outbox.keep(*kept)
    assert {(gap.room, gap.dropped) for gap in outbox.catch_up().gaps} == {(TRADE, 1), (OTHER_TRADE, 1)}


def test_after_catching_up_the_outbox_is_empty() -> None:
    outbox, _ = make_outbox(messages=1)
    for kept in (quote(1), trade(2), trade(3)):
        outbox.keep(*kept)
    outbox.catch_up()
    assert outbox.catch_up() == ([], [], [], 0)


def test_more_bytes_than_may_wait_are_reported() -> None:
    outbox, _ = make_outbox(total_bytes=20)
    assert outbox.keep(*trade(1)) is None
    assert outbox.keep(*trade(2)) is None
    assert outbox.keep(*trade(3)) is CloseCode.SLOW_CONSUMER


def test_replaced_and_dropped_messages_no_longer_count_as_waiting_bytes() -> None:
    outbox, _ = make_outbox(total_bytes=20, messages=1)
    assert all(outbox.keep(*quote(offset)) is None for offset in range(9))
    assert all(outbox.keep(*trade(offset)) is None for offset in range(9))


def test_what_was_kept_comes_in_the_order_in_which_it_came() -> None:
    outbox, _ = make_outbox()
    for kept in (quote(1), trade(2), quote(3), trade(4)):
        outbox.keep(*kept)
    assert outbox.catch_up().kept == [b"trade 2", b"quote 3", b"trade 4"]


@given(st.lists(st.sampled_from([QUOTE, TRADE, OTHER_TRADE])), st.integers(1, 5))
def test_every_message_is_kept_replaced_or_counted_as_dropped(rooms: list[Room], bound: int) -> None:
    outbox, _ = make_outbox(messages=bound)
    latest: OrderedDict[Room, bytes] = OrderedDict()
    trades: list[bytes] = []
    order: list[bytes] = []
    for offset, room in enumerate(rooms):
        message, frame = quote(offset, room) if room is QUOTE else trade(offset, room)
        outbox.keep(message, frame)
        order.append(frame)
        if room is QUOTE:
            latest[room] = frame
        else:
            trades.append(frame)
    backlog = outbox.catch_up()
    assert backlog.kept == sorted([*trades[-bound:], *latest.values()], key=order.index)
    assert sum(gap.dropped for gap in backlog.gaps) == max(0, len(trades) - bound)
    assert backlog.conflated == sum(room is QUOTE for room in rooms) - len(latest)
