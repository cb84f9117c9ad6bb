"""Records in, messages out: rooms, snapshots, clients that fall behind."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.close_codes import CloseCode
from gateway.messages import Arrival, Source
from gateway.metrics import TRADES_TOO_OLD
from gateway.outbox import OutboxLimits
from market.candle import CandleEventKind
from market.decimals import ONE
from market.feed_status import FeedState, FeedStatus
from market.seen_trades import MAX_HOLES
from runtime import metrics
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import HandTurnedLoop, Listener, arrivals, make_candle, make_hub, make_quote

ETH = "binance:ETH-USDT"


def test_client_is_greeted_with_its_id_and_the_limits() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    hub.set_problem(None)
    listener = Listener(hub, "me")
    loop.settle()
    (greeting,) = listener.sent
    assert greeting["type"] == "status"
    assert greeting["data"]["client_id"] == "me"
    assert greeting["data"]["state"] == "LIVE"
    assert greeting["data"]["limits"]["subscriptions"] == 1000


def test_answer_then_snapshot_then_live() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    hub.take(arrivals("md.quotes", [make_quote(sequence=1, bid=ONE)]))
    listener = Listener(hub)
    listener.say(action="subscribe", symbol="BTC/USDT", id=1)
    hub.take(arrivals("md.quotes", [make_quote(sequence=2, bid=2 * ONE)], first_offset=1))
    loop.settle()
    _, answer, snapshot, live = listener.sent
    assert answer["data"]["subscriptions"][0]["snapshot"] == 1
    assert (snapshot["data"]["bid"], snapshot["metadata"]) == (
        "1",
        {"snapshot": True, "topic": "md.quotes", "partition": 0, "offset": 0},
    )
    assert (live["data"]["bid"], live["metadata"]) == ("2", {"topic": "md.quotes", "partition": 0, "offset": 1})


def test_only_the_room_of_the_record_hears_of_it() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT, ETH])
    quotes, trades, other = Listener(hub), Listener(hub), Listener(hub)
    quotes.say(action="subscribe", symbol=INSTRUMENT, data_type="QUOTE")
    trades.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    other.say(action="subscribe", symbol=ETH, data_types=["QUOTE", "TRADE"])
    hub.take(arrivals("md.trades", [make_trade(7, price=5)]))
    loop.settle()
    assert [message["data"]["last"] for message in quotes.of_type("market_data")] == ["5"]
    assert [message["data"]["trade_id"] for message in trades.of_type("trade_data")] == ["7"]
    assert other.of_type("market_data") == other.of_type("trade_data") == []


def test_repeated_trade_is_told_once() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    hub.take(arrivals("md.trades", [make_trade(1), make_trade(2), make_trade(1)]))
    loop.settle()
    assert [message["data"]["trade_id"] for message in listener.of_type("trade_data")] == ["1", "2"]


def test_repeated_trade_older_than_the_ids_remembered_is_not_told_again() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    with_holes = [make_trade(number) for number in range(1, 2 * MAX_HOLES + 10, 2)]
    duplicates, before = metrics.DUPLICATES.labels("md.trades")._value.get(), TRADES_TOO_OLD._value.get()
    hub.take(arrivals("md.trades", [*with_holes, make_trade(1)]))
    loop.settle()
    assert [message["data"]["trade_id"] for message in listener.of_type("trade_data")] == [
        trade.trade_id for trade in with_holes
    ]
    assert TRADES_TOO_OLD._value.get() == before + 1
    assert metrics.DUPLICATES.labels("md.trades")._value.get() == duplicates


def test_candles_come_as_history_then_every_higher_version() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    past = [make_candle(minute, kind=CandleEventKind.CLOSE, revision=1) for minute in range(5)]
    hub.take(arrivals("md.candles", past))
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="KLINE", history=2)
    live = [make_candle(5, offset=9), make_candle(5, offset=8), make_candle(5, offset=9), make_candle(5, offset=10)]
    hub.take(arrivals("md.candles", live, first_offset=5))
    loop.settle()
    candles = listener.of_type("kline_data")
    assert [(candle["data"]["open_time"], candle["data"]["source_offset"]) for candle in candles] == [
        (past[3].open_time, 0),
        (past[4].open_time, 0),
        (live[0].open_time, 9),
        (live[0].open_time, 10),
    ]
    assert ["snapshot" in candle["metadata"] for candle in candles] == [True, True, False, False]


def test_leaving_ends_the_messages() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    listener.say(action="unsubscribe", symbol=INSTRUMENT)
    hub.take(arrivals("md.trades", [make_trade(1)]))
    loop.settle()
    assert listener.of_type("trade_data") == []
    assert hub.traffic.subscriptions == 0


def test_client_that_left_gets_nothing_and_holds_nothing() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    hub.take(arrivals("md.trades", [make_trade(1)]))
    hub.disconnect(listener.client)
    hub.disconnect(listener.client)
    hub.take(arrivals("md.trades", [make_trade(2)]))
    loop.settle()
    assert listener.of_type("trade_data") == []
    assert (hub.clients, hub.traffic.subscriptions) == (0, 0)


def test_messages_of_one_batch_are_written_in_one_call() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    loop.settle()
    before = listener.writes
    loop.now += 1
    hub.take(arrivals("md.trades", [make_trade(number) for number in range(1, 100)]))
    loop.settle()
    assert (len(listener.of_type("trade_data")), listener.writes - before) == (99, 1)


def test_client_behind_gets_latest_quote_and_a_notice_of_missing_trades() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, outbox=OutboxLimits(messages=3), known=[INSTRUMENT])
    listener, other = Listener(hub), Listener(hub)
    for one in (listener, other):
        one.say(action="subscribe", symbol=INSTRUMENT, data_types=["QUOTE", "TRADE"])
    loop.settle()
    hub.fall_behind(listener.client)
    hub.take(arrivals("md.trades", [make_trade(number, price=number, at=START + number) for number in range(1, 11)]))
    loop.settle()
    assert len(other.of_type("trade_data")) == 10
    assert listener.of_type("trade_data") == listener.of_type("market_data") == []
    hub.catch_up(listener.client)
    gap, *rest = listener.sent[2:]
    assert gap["type"] == "gap"
    assert gap["data"] == {"data_type": "TRADE", "instrument": INSTRUMENT, "dropped": 7}
    assert gap["metadata"] == {"topic": "md.trades", "partition": 0, "first_offset": 0, "last_offset": 6}
    told = [message["data"].get("trade_id") or f"quote of {message['data']['last']}" for message in rest]
    assert told == ["8", "9", "quote of 10", "10"]
    assert (hub.traffic.conflated, hub.traffic.dropped) == (9, 7)
    hub.take(arrivals("md.trades", [make_trade(11, at=START + 11)], first_offset=10))
    loop.settle()
    assert listener.of_type("trade_data")[-1]["data"]["trade_id"] == "11"


def test_client_too_far_behind_is_closed_and_the_others_go_on() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, outbox=OutboxLimits(total_bytes=2000), known=[INSTRUMENT])
    slow, fast = Listener(hub), Listener(hub)
    for one in (slow, fast):
        one.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    loop.settle()
    hub.fall_behind(slow.client)
    hub.take(arrivals("md.trades", [make_trade(number) for number in range(1, 21)]))
    loop.settle()
    assert slow.closed is CloseCode.SLOW_CONSUMER
    assert (fast.closed, len(fast.of_type("trade_data")), hub.clients) == (None, 20, 1)


def test_client_closed_by_the_news_of_an_instrument_enters_no_further_room() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, outbox=OutboxLimits(total_bytes=100))
    listener = Listener(hub)
    listener.say(action="subscribe", symbol="binance:*", data_types=["QUOTE", "TRADE", "PRICE"])
    loop.settle()
    hub.fall_behind(listener.client)
    hub.take(arrivals("md.trades", [make_trade(1)]))
    assert listener.closed is CloseCode.SLOW_CONSUMER
    assert (len(hub.publisher.rooms), hub.traffic.subscriptions) == (0, 0)
    assert listener.client.session.subscriptions.count() == 0


def test_client_that_asks_on_without_reading_is_closed() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, outbox=OutboxLimits(total_bytes=10_000))
    hub.take(arrivals("md.candles", [make_candle(minute) for minute in range(100)]))
    greedy = Listener(hub)
    greedy.say(action="subscribe", symbol=INSTRUMENT, data_type="KLINE")
    assert len(greedy.of_type("kline_data")) == 100  # written at once, so that a full socket shows
    hub.fall_behind(greedy.client)
    greedy.say(action="ping")
    assert greedy.closed is None
    greedy.say(action="subscribe", symbol=INSTRUMENT, data_type="KLINE")
    assert greedy.closed is CloseCode.SLOW_CONSUMER
    assert hub.clients == 0
    hub.set_problem("x")
    loop.settle()
    assert len(greedy.of_type("kline_data")) == 100


def test_disturbed_source_is_told_to_all_clients_once() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    hub.set_problem(None)
    listener = Listener(hub)
    for problem in ("no broker", "no broker", None):
        hub.set_problem(problem)
    loop.settle()
    told = [(message["data"]["state"], message["data"]["reason"]) for message in listener.of_type("status")[1:]]
    assert told == [("STALE", "no broker"), ("LIVE", None)]


def test_feed_states_are_kept_by_stream() -> None:
    hub = make_hub(HandTurnedLoop())
    states = [FeedStatus("binance", "trade", INSTRUMENT, state, "", START) for state in (FeedState.CONNECTING, FeedState.LIVE)]
    hub.take(arrivals("md.status", states))
    assert [feed["state"] for feed in hub.feeds.describe()] == ["LIVE"]
    assert list(hub.instruments) == [INSTRUMENT]


def test_record_that_cannot_be_rendered_harms_no_other() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    good, bad = make_trade(1), make_trade(2)._replace(price="nonsense")  # type: ignore[arg-type]  # on purpose
    hub.take([Arrival(Source("md.trades", 0, 0), bad), Arrival(Source("md.trades", 0, 1), good)])
    loop.settle()
    assert [message["data"]["trade_id"] for message in listener.of_type("trade_data")] == ["1"]


@given(st.lists(st.sampled_from(["trade", "subscribe", "unsubscribe", "behind", "ready"]), max_size=40))
def test_a_subscriber_hears_each_trade_once_and_in_order(steps: list[str]) -> None:
    """Whatever happens in between: the trades while it was subscribed, after the last one before."""
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    number, expected, subscribed, behind = 0, [], False, False
    for step in steps:
        if step == "trade":
            number += 1
            hub.take(arrivals("md.trades", [make_trade(number)], first_offset=number))
            expected += [number] if subscribed else []
        elif step == "subscribe" and not behind:
            listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
            expected += [number] if number else []
            subscribed = True
        elif step == "unsubscribe" and not behind:
            listener.say(action="unsubscribe", symbol=INSTRUMENT)
            subscribed = False
        elif step == "behind" and not behind:
            hub.fall_behind(listener.client)
            behind = True
        elif step == "ready" and behind:
            hub.catch_up(listener.client)
            behind = False
    if behind:
        hub.catch_up(listener.client)
    loop.settle()
    assert [int(message["data"]["trade_id"]) for message in listener.of_type("trade_data")] == expected


def test_frame_is_made_once_for_all_who_listen() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    shared: list[Any] = []
    local = [hub.arrive("127.0.0.1", None) for _ in range(3)]
    clients = [hub.connect("c", shared.extend, lambda code: None, visitor) for visitor in local]
    for client in clients:
        hub.receive(client, orjson.dumps({"action": "subscribe", "symbol": INSTRUMENT, "data_type": "TRADE"}))
    loop.settle()
    shared.clear()
    hub.take(arrivals("md.trades", [make_trade(1)]))
    loop.settle()
    assert len(shared) == 3
    assert len({id(frame) for frame in shared}) == 1
