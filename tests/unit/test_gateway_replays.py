"""Replays without topics or sockets: what is told, to whom, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.admission import Admission
from gateway.api_keys import ApiKeys, make_key
from gateway.authentication import Authenticator
from gateway.close_codes import CloseCode
from gateway.hub import Hub
from gateway.identity import Grants
from gateway.metrics import REPLAYS
from gateway.refusals import ErrorCode, Refusal
from gateway.replay import replay as module
from gateway.replay.archive import Where
from gateway.replay.looking_back import earliest_of
from gateway.replay.replays import ReplayLimits, Replays
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind, Level
from tests.access_parts import make_token, secret_entry, tokens_of
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_docs import faults
from tests.gateway_parts import HandTurnedLoop, Listener, arrivals, make_candle, make_hub, make_quote
from tests.gateway_running import in_loop
from tests.replay_parts import SECOND, ListedArchive, ReplayListener

ETH = "binance:ETH-USDT"


def hub_of(archive: ListedArchive, limits: ReplayLimits | None = None, **options: Any) -> Hub:
    limits = limits or ReplayLimits(share=1)
    return make_hub(HandTurnedLoop(), known=[INSTRUMENT, ETH], replays=Replays(archive, limits), **options)


def with_keys() -> Admission:
    """An admission that knows clients by tokens."""
    return Admission(Authenticator(tokens_of(secret_entry())))


def trades(archive: ListedArchive, first: int, last: int, *, every: int = SECOND, instrument: str = INSTRUMENT) -> None:
    """Trades of these numbers, one stored each second after START."""
    for number in range(first, last + 1):
        archive.store("md.trades", START + number * every, make_trade(number, price=number, instrument=instrument))


def ids(messages: list[dict[str, Any]]) -> list[int]:
    return [int(message["data"]["trade_id"]) for message in messages]


@in_loop
async def test_snapshot_is_of_the_time_and_what_follows_is_in_the_order_it_was_stored() -> None:
    archive = ListedArchive()
    archive.store("md.quotes", START, make_quote(sequence=1, bid=ONE))
    trades(archive, 1, 9)
    archive.store("md.quotes", START + 6 * SECOND + 1, make_quote(sequence=2, bid=2 * ONE))
    listener = ReplayListener(hub_of(archive), START + 5 * SECOND)
    listener.say(action="subscribe", symbol="BTC/USDT", data_types=["QUOTE", "TRADE"], id=1)
    (end,) = await listener.heard("replay_end")
    answer, *rest = listener.sent[1:-1]
    assert [grant["snapshot"] for grant in answer["data"]["subscriptions"]] == [1, 1]
    assert answer["metadata"] == {"replay_time": START + 5 * SECOND}
    assert ids(listener.of_type("trade_data")) == [4, 5, 6, 7, 8, 9]
    assert [(quote["data"]["bid"], quote["data"]["last"]) for quote in listener.of_type("market_data")] == [
        *(("1", str(number)) for number in (4, 5, 6)),
        ("2", "6"),
        *(("2", str(number)) for number in (7, 8, 9)),
    ]
    times = [message["metadata"]["replay_time"] for message in rest]
    assert times == sorted(times)
    assert end["data"] == {"reason": "caught_up", "replay_time": START + 9 * SECOND}
    assert listener.closed is CloseCode.NORMAL
    assert [fault for message in listener.sent for fault in faults(message)] == []


@in_loop
async def test_live_state_and_live_clients_hear_nothing_of_it() -> None:
    archive = ListedArchive()
    trades(archive, 1, 9)
    hub = hub_of(archive)
    hub.take(arrivals("md.trades", [make_trade(100, price=100)]))
    live = Listener(hub)
    live.say(action="subscribe", symbol=INSTRUMENT, data_types=["TRADE", "QUOTE"])
    replayed = ReplayListener(hub, START + 3 * SECOND)
    replayed.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    await replayed.heard("replay_end")
    hub.take(arrivals("md.trades", [make_trade(101, price=101)], 1))
    live.client.outbox.flush()
    assert ids(replayed.of_type("trade_data")) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert ids(live.of_type("trade_data")) == [100, 101]
    assert [quote["data"]["last"] for quote in live.of_type("market_data")] == ["100", "101"]


@in_loop
async def test_token_of_the_end_goes_on_live_from_there() -> None:
    archive = ListedArchive()
    trades(archive, 0, 4)
    hub = hub_of(archive)
    replayed = ReplayListener(hub)
    replayed.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    (end,) = await replayed.heard("replay_end")
    hub.take(arrivals("md.trades", [make_trade(number) for number in range(8)]))
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", resume=end["metadata"]["resume"])
    hub.wake()
    assert ids(listener.of_type("trade_data")) == [5, 6, 7]
    assert listener.of_type("subscribe")[0]["data"]["subscriptions"][0]["recovery"] == "resumed"


@in_loop
async def test_filters_fields_and_rates_are_those_of_the_subscription_in_the_time_of_the_replay() -> None:
    archive = ListedArchive()
    for number in range(41):
        archive.store("md.quotes", START + number * SECOND // 10, make_quote(sequence=number, bid=number * ONE))
    trades(archive, 0, 4)
    listener = ReplayListener(hub_of(archive))
    condition = {"op": "gt", "field": "price", "value": "2"}
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", fields=["price"], filter=condition)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="QUOTE", fields=["bid"], max_rate=1)
    await listener.heard("replay_end")
    assert [trade["data"] for trade in listener.of_type("trade_data")] == [
        {"instrument": INSTRUMENT, "price": price} for price in ("3", "4")
    ]
    told = [message["metadata"]["replay_time"] for message in listener.of_type("market_data")]
    assert len(told) <= 6  # one a second of the replay, though all of it took no second
    assert listener.of_type("market_data")[-1]["data"]["bid"] == "40"


@in_loop
async def test_subscription_made_later_begins_at_the_time_of_the_replay() -> None:
    archive = ListedArchive()
    trades(archive, 0, 30, every=SECOND // 10)
    archive.store("md.candles", START, make_candle(0))
    trades(archive, 31, 33, every=SECOND // 10, instrument=ETH)
    listener = ReplayListener(hub_of(archive), START, 10.0)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    await listener.heard("trade_data", 10)
    listener.say(action="subscribe", symbols=[INSTRUMENT, ETH], data_types=["TRADE", "KLINE"], id=2)
    await listener.heard("replay_end")
    assert ids(listener.of_type("trade_data")[:10]) == list(range(10))
    assert sorted(set(ids(listener.of_type("trade_data")))) == list(range(34))
    again = [message for message in listener.of_type("trade_data") if "snapshot" not in message["metadata"]]
    assert ids(again) == list(range(34))
    assert len(listener.of_type("kline_data")) == 1


@in_loop
async def test_time_stands_still_until_something_is_subscribed() -> None:
    archive = ListedArchive()
    trades(archive, 0, 3)
    listener = ReplayListener(hub_of(archive), START, 1000.0)
    listener.say(action="ping", id=1)
    await asyncio.sleep(0.02)
    listener.say(action="ping", id=2)
    listener.client.outbox.flush()
    assert [pong["metadata"]["replay_time"] for pong in listener.of_type("pong")] == [START, START]
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    await listener.heard("replay_end")
    assert ids(listener.of_type("trade_data")) == [0, 1, 2, 3]


@in_loop
async def test_client_that_is_behind_is_waited_for_and_misses_nothing() -> None:
    archive = ListedArchive()
    trades(archive, 0, 2_000, every=1)
    hub = hub_of(archive)
    listener = ReplayListener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    await listener.heard("trade_data", 100)
    hub.fall_behind(listener.client)
    await asyncio.sleep(0.05)
    told, polls = len(listener.of_type("trade_data")), archive.polls
    await asyncio.sleep(0.1)
    assert (len(listener.of_type("trade_data")), listener.client.outbox.waiting, archive.polls) == (told, 0, polls)
    hub.catch_up(listener.client)
    await listener.heard("replay_end")
    assert ids(listener.of_type("trade_data")) == list(range(2_001))
    assert listener.of_type("gap") == []


@in_loop
async def test_time_before_what_is_retained_names_the_earliest() -> None:
    archive = ListedArchive()
    trades(archive, 0, 9)
    archive.expired["md.trades"] = 6
    listener = ReplayListener(hub_of(archive), START + 3 * SECOND)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_types=["TRADE", "KLINE"], id=1)
    (answer,) = await listener.heard("subscribe")
    (refused,) = answer["data"]["refused"]
    assert (refused["name"], refused["earliest"], refused["data_type"]) == (
        "TIME_NOT_RETAINED",
        START + 6 * SECOND,
        "TRADE",
    )
    assert [grant["data_type"] for grant in answer["data"]["subscriptions"]] == ["KLINE"]


@pytest.mark.parametrize(
    ("places", "earliest"),
    [
        ([], None),
        ([Where(0, 0, 0)], None),
        ([Where(5, 5, 5)], None),
        ([Where(0, 3, 9)], None),
        ([Where(5, 6, 9)], None),
        ([Where(5, 5, 9, 100)], None),
        ([Where(5, 5, 9, 101)], 101),
        ([Where(0, 0, 9, 101)], 101),
        ([Where(0, 0, 9, 101), Where(0, 0, 0)], 101),
        ([Where(0, 0, 9, 101), Where(0, 3, 9)], None),
        ([Where(5, 5, 9, 101), Where(0, 3, 9)], 101),
        ([Where(5, 5, 9, 101), Where(7, 7, 9, 105)], 105),
    ],
)
def test_what_began_later_is_no_loss_where_there_is_something_older(places: list[Where], earliest: int | None) -> None:
    assert earliest_of(places, 100) == earliest


@in_loop
async def test_records_that_expire_before_they_were_told_end_it() -> None:
    archive = ListedArchive()
    trades(archive, 0, 100)
    listener = ReplayListener(hub_of(archive), START, 1.0)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    await listener.heard("subscribe")
    archive.expired["md.trades"] = 90
    (end,) = await listener.heard("replay_end")
    assert (end["data"]["reason"], end["metadata"], listener.closed) == ("past_gone", {}, CloseCode.INTERNAL_ERROR)


@in_loop
async def test_topics_that_cannot_be_read_refuse_the_subscription_and_it_may_be_tried_again() -> None:
    archive = ListedArchive()
    trades(archive, 0, 3)
    archive.fails = True
    listener = ReplayListener(hub_of(archive))
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    (error,) = await listener.heard("error")
    assert error["data"]["name"] == "BROKER_UNAVAILABLE"
    archive.fails = False
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    await listener.heard("replay_end")
    assert ids(listener.of_type("trade_data")) == [0, 1, 2, 3]


@in_loop
async def test_there_are_no_tokens_to_resume_with_and_as_many_requests_wait_as_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING_REQUESTS", 2)
    listener = ReplayListener(hub_of(ListedArchive()))
    listener.say(action="subscribe", symbol=INSTRUMENT, resume="token", id=1)
    for number in (2, 3, 4):
        listener.say(action="subscribe", symbol=INSTRUMENT, id=number)
    await listener.heard("subscribe", 2)
    assert [(error["id"], error["data"]["name"]) for error in listener.of_type("error")] == [
        (1, "INVALID_SETTING"),
        (4, "TOO_MANY_SUBSCRIPTIONS"),
    ]


@in_loop
async def test_nothing_is_told_or_read_that_is_not_granted() -> None:
    archive = ListedArchive()
    trades(archive, 0, 3)
    trades(archive, 0, 3, instrument=ETH)
    hub = hub_of(archive, admission=with_keys())
    token = make_token(symbols=[ETH], data_types=["TRADE"])
    listener = ReplayListener(hub, token=token)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", id=1)
    listener.say(action="subscribe", symbol=ETH, data_type="QUOTE", id=2)
    listener.say(action="subscribe", symbols=["binance:*"], data_type="TRADE", id=3)
    await listener.heard("replay_end")
    assert [(error["id"], error["data"]["name"]) for error in listener.of_type("error")] == [
        (1, "NOT_ENTITLED"),
        (2, "NOT_ENTITLED"),
    ]
    assert {trade["data"]["instrument"] for trade in listener.of_type("trade_data")} == {ETH}
    assert {partition for partition, _, _ in archive.read_of} == {("md.trades", 0)}


@in_loop
async def test_replays_are_counted_and_given_back() -> None:
    before = REPLAYS._value.get()
    hub = hub_of(ListedArchive(), ReplayLimits(in_all=2, of_user=1), admission=with_keys())
    first = ReplayListener(hub, token=make_token(sub="ann"))
    with pytest.raises(Refusal, match="you have 1") as caught:
        ReplayListener(hub, token=make_token(sub="ann"))
    assert caught.value.status == 429
    ReplayListener(hub, token=make_token(sub="bob"))
    with pytest.raises(Refusal, match="there are 2"):
        ReplayListener(hub, token=make_token(sub="eve"))
    assert REPLAYS._value.get() == before + 2
    hub.disconnect(first.client)
    hub.disconnect(first.client)
    ReplayListener(hub, token=make_token(sub="eve"))
    assert (REPLAYS._value.get(), hub.clients) == (before + 2, 2)
    for client in hub.everyone():
        hub.disconnect(client)


@in_loop
async def test_replay_needs_its_token_in_the_request_and_an_archive() -> None:
    hub = hub_of(ListedArchive(), admission=with_keys())
    with pytest.raises(Refusal) as caught:
        ReplayListener(hub)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    for none in (make_hub(HandTurnedLoop()), hub_of(ListedArchive(), ReplayLimits(in_all=0))):
        with pytest.raises(Refusal, match="no replays"):
            ReplayListener(none)
        assert none.clients == 0


@in_loop
async def test_book_is_whole_at_the_time_and_every_change_follows_the_one_before() -> None:
    archive = ListedArchive()
    for at in range(6):
        kind = DepthKind.DELTA if at else DepthKind.SNAPSHOT
        bids = [Level((100 - at) * ONE, ONE)]
        received = START + at * SECOND
        record = Depth(INSTRUMENT, kind, bids, [], at, at, at - 1, None, received, received, BookState.LIVE)
        archive.store("md.depth", received, record)
    listener = ReplayListener(hub_of(archive), START + 3 * SECOND)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="BOOK")
    await listener.heard("replay_end")
    books = listener.of_type("book_data")
    assert books[0]["data"]["bids"] == [["100", "1"], ["99", "1"], ["98", "1"]]
    assert [(book["data"]["kind"], book["data"]["previous_offset"], book["metadata"]["offset"]) for book in books] == [
        ("SNAPSHOT", None, 2),
        ("DELTA", 2, 3),
        ("DELTA", 3, 4),
        ("DELTA", 4, 5),
    ]


@in_loop
async def test_key_that_is_taken_away_ends_its_replay() -> None:
    token, entry = make_key("ann", Grants(frozenset(), frozenset(), frozenset({"*"}), frozenset({"*"})))
    keys, archive = ApiKeys([entry]), ListedArchive()
    trades(archive, 0, 100)
    hub = hub_of(archive, admission=Admission(Authenticator(api_keys=keys)))
    listener = ReplayListener(hub, START, 1.0, token)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    await listener.heard("trade_data")
    keys.replace([msgspec.structs.replace(entry, grants=Grants(frozenset(), frozenset(), frozenset({ETH}), frozenset({"*"})))])
    hub.review()
    (left,) = await listener.heard("unsubscribe")
    assert [room["instrument"] for room in left["data"]["unsubscribed"]] == [INSTRUMENT]
    keys.replace([])
    hub.review()
    assert listener.closed is CloseCode.ACCESS_REVOKED
    assert hub.clients == 0
