"""Going on where a client was: from memory, from the past, or anew."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hub import Hub, ResumeOptions
from gateway.intake import Origin
from gateway.messages import Arrival, Room, Source
from gateway.past import PastFailed, PastGone, PastTooLong
from gateway.positions import Place, Positions
from gateway.progress import Partition
from gateway.recent import Recent, RecentLimits
from gateway.requests import Seen
from gateway.resume_tokens import ResumeTokens
from market.candle import CandleEventKind
from market.decimals import ONE
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_parts import HandTurnedLoop, Listener, arrivals, make_candle, make_hub, make_origin, make_quote

KEY = b"k" * 32


def trades(first: int, last: int) -> list[Arrival]:
    """Trades whose ids are their offsets."""
    return arrivals("md.trades", [make_trade(number) for number in range(first, last + 1)], first)


def subscribed(hub: Hub, loop: HandTurnedLoop, **request: Any) -> tuple[Listener, dict[str, Any], list[dict[str, Any]]]:
    """A listener with a subscription, its grant, and the messages after the answer."""
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, **request)
    loop.settle()
    (answer,) = listener.of_type("subscribe")
    (grant,) = answer["data"]["subscriptions"]
    return listener, answer, listener.sent[listener.sent.index(answer) + 1 :] if grant else []


def grant_of(answer: dict[str, Any]) -> dict[str, Any]:
    (grant,) = answer["data"]["subscriptions"]
    return dict(grant)


def ids(messages: list[dict[str, Any]]) -> list[int]:
    return [int(message["data"]["trade_id"]) for message in messages if message["type"] == "trade_data"]


def test_trades_that_were_missed_come_before_the_live_ones() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, resume=ResumeOptions(key=KEY, origin=make_origin))
    hub.take(trades(0, 4))
    _, answer, snapshot = subscribed(hub, loop, data_type="TRADE")
    assert ids(snapshot) == [4]
    hub.take(trades(5, 9))
    seen = [{"topic": "md.trades", "partition": 0, "offset": 6}]
    back, again, missed = subscribed(hub, loop, data_type="TRADE", resume=answer["metadata"]["resume"], seen=seen)
    assert (grant_of(again)["recovery"], grant_of(again)["snapshot"], ids(missed)) == ("resumed", 3, [7, 8, 9])
    hub.take(trades(10, 10))
    loop.settle()
    assert ids(back.of_type("trade_data")) == [7, 8, 9, 10]


def test_seen_never_goes_behind_the_token() -> None:
    place = Place({"t": "id"}, {("t", 0): 10})
    assert place.after([Seen("t", 0, 3), Seen("t", 7, 3)]).offsets == {("t", 0): 10}
    assert place.after([Seen("t", 0, 10)]).offsets == {("t", 0): 11}


def test_closed_candles_and_corrections_come_one_by_one_and_the_open_one_in_its_latest_version() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, resume=ResumeOptions(key=KEY, origin=make_origin))
    hub.take(arrivals("md.candles", [make_candle(0, offset=1)]))
    _, answer, _ = subscribed(hub, loop, data_type="KLINE")
    news = [
        make_candle(0, offset=2, revision=1, kind=CandleEventKind.CLOSE),
        make_candle(0, offset=2, revision=2, kind=CandleEventKind.CORRECTION),
        *(make_candle(1, offset=offset) for offset in (3, 4, 5)),
    ]
    hub.take(arrivals("md.candles", news, 1))
    _, again, missed = subscribed(hub, loop, data_type="KLINE", resume=answer["metadata"]["resume"])
    assert grant_of(again)["recovery"] == "resumed"
    assert [(message["data"]["kind"], message["data"]["source_offset"]) for message in missed] == [
        ("CLOSE", 2),
        ("CORRECTION", 2),
        ("UPDATE", 5),
    ]


def test_latest_value_comes_only_if_it_changed() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, resume=ResumeOptions(key=KEY, origin=make_origin))
    hub.take(arrivals("md.quotes", [make_quote(sequence=1, bid=ONE)]))
    _, answer, _ = subscribed(hub, loop)
    token = answer["metadata"]["resume"]
    _, _, missed = subscribed(hub, loop, resume=token)
    assert missed == []
    hub.take(arrivals("md.quotes", [make_quote(sequence=number, bid=number * ONE) for number in (2, 3)], 1))
    _, _, missed = subscribed(hub, loop, resume=token)
    assert [message["data"]["bid"] for message in missed] == ["3"]


@pytest.mark.parametrize("case", ["nonsense", "subject", "key", "topic", "paced"])
def test_what_cannot_go_on_begins_anew_and_is_told_why(case: str) -> None:
    loop = HandTurnedLoop()
    topic_ids = iter(["first"] if case != "topic" else ["second"])
    hub = make_hub(loop, resume=ResumeOptions(key=KEY, origin=lambda: make_origin(next(topic_ids))))
    hub.take(arrivals("md.quotes", [make_quote(sequence=1, bid=ONE)]))
    place = Place(make_origin("first").topic_ids, make_origin().starts)
    token = {
        "nonsense": "nonsense",
        "subject": ResumeTokens(KEY).issue("mallory", place),
        "key": ResumeTokens(b"other" * 8).issue("local", place),
    }.get(case, ResumeTokens(KEY).issue("local", place))
    _, answer, snapshot = subscribed(hub, loop, resume=token, **({"max_rate": 1} if case == "paced" else {}))
    reason = {"topic": "topic_changed", "paced": "paced"}.get(case, "token_unknown")
    assert (grant_of(answer)["recovery"], grant_of(answer)["reason"]) == ("reset", reason)
    assert [message["metadata"]["snapshot"] for message in snapshot] == [True]


def test_seen_of_several_subscriptions_is_refused() -> None:
    loop = HandTurnedLoop()
    listener = Listener(make_hub(loop, known=[INSTRUMENT]))
    seen = [{"topic": "md.trades", "partition": 0, "offset": 6}]
    listener.say(action="subscribe", symbol=INSTRUMENT, data_types=["QUOTE", "TRADE"], resume="x", seen=seen)
    loop.settle()
    (error,) = listener.of_type("error")
    assert error["data"]["name"] == "INVALID_MESSAGE"


def test_token_holds_in_another_gateway_with_the_same_key() -> None:
    loop = HandTurnedLoop()
    first = make_hub(loop, resume=ResumeOptions(key=KEY, origin=make_origin))
    first.take(trades(0, 4))
    _, answer, _ = subscribed(first, loop, data_type="TRADE")
    second = make_hub(loop, resume=ResumeOptions(key=KEY, origin=make_origin))
    second.take(trades(0, 6))
    _, _, missed = subscribed(second, loop, data_type="TRADE", resume=answer["metadata"]["resume"])
    assert ids(missed) == [5, 6]


def test_no_token_while_messages_wait_for_a_client_that_is_behind() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    hub.fall_behind(listener.client)
    listener.say(action="ping")
    hub.catch_up(listener.client)
    listener.say(action="ping")
    loop.settle()
    assert ["resume" in message["metadata"] for message in listener.of_type("pong")] == [False, True]


def test_counts_say_what_became_of_the_messages() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_types=["QUOTE", "TRADE"])
    hub.take(trades(0, 1))
    hub.fall_behind(listener.client)
    hub.take(trades(2, 4))

    def counts() -> dict[str, tuple[int, int, int, int]]:
        told = hub.counts(listener.client)
        names = ("delivered", "conflated", "dropped", "waiting")
        return {one["data_type"]: tuple(one[name] for name in names) for one in told}

    assert counts() == {"QUOTE": (2, 2, 0, 1), "TRADE": (2, 0, 0, 3)}
    hub.catch_up(listener.client)
    assert counts() == {"QUOTE": (3, 2, 0, 0), "TRADE": (5, 0, 0, 0)}


# the past


class Remembered:
    """A past that a test made up; `fault` is raised after the first part."""

    def __init__(self, kept: list[Arrival], fault: Exception | None = None, between: Any = lambda: None) -> None:
        self._kept = kept
        self._fault = fault
        self._between = between

    async def read(
        self, partition: Partition, start: int, end: int, instruments: Collection[str]
    ) -> AsyncGenerator[list[Arrival]]:
        wanted = [arrival for arrival in self._kept if start <= arrival.source.offset < end]
        yield wanted[:2]
        await asyncio.sleep(0)
        self._between()
        if self._fault is not None:
            raise self._fault
        yield wanted[2:]


async def go_on(hub: Hub, loop: HandTurnedLoop, token: str, data_type: str = "TRADE") -> tuple[Listener, dict[str, Any]]:
    """Resume a subscription, and wait for the end of it."""
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type=data_type, resume=token)
    loop.settle()
    (answer,) = listener.of_type("subscribe")
    assert grant_of(answer)["recovery"] == "reading"
    async with asyncio.timeout(5):
        while not listener.of_type("recovery"):
            await asyncio.sleep(0.001)
            loop.settle()
    return listener, listener.of_type("recovery")[0]


def hub_with(past: Remembered, loop: HandTurnedLoop, *, start: int = 90, per_room: int = 1000) -> Hub:
    def origin() -> Origin:
        return Origin({("md.trades", 0): start}, {"md.trades": "id"})

    recent = RecentLimits(per_room=per_room)
    hub = make_hub(loop, known=[INSTRUMENT], resume=ResumeOptions(key=KEY, recent=recent, origin=origin, past=past))
    hub.take(trades(start, 99))
    return hub


TOKEN = ResumeTokens(KEY).issue("local", Place({"md.trades": "id"}, {("md.trades", 0): 5}))


def test_what_memory_does_not_reach_is_read_and_joins_what_came_meanwhile() -> None:
    async def main() -> None:
        loop = HandTurnedLoop()
        hub: Hub
        past = Remembered(trades(0, 99), between=lambda: hub.take(trades(100, 105)))
        hub = hub_with(past, loop)
        listener, recovery = await go_on(hub, loop, TOKEN)
        hub.take(trades(106, 107))
        loop.settle()
        assert (recovery["data"]["recovery"], recovery["data"]["snapshot"]) == ("resumed", 6)
        assert ids(listener.sent) == list(range(5, 108))

    asyncio.run(main())


def test_stretches_are_read_until_memory_reaches() -> None:
    async def main() -> None:
        loop = HandTurnedLoop()
        batches = iter([(100, 119), (120, 139), (140, 142)])

        def come() -> None:
            if batch := next(batches, None):
                hub.take(trades(*batch))

        past = Remembered(trades(0, 200), between=come)
        hub = hub_with(past, loop, per_room=4)
        listener, recovery = await go_on(hub, loop, TOKEN)
        assert recovery["data"]["recovery"] == "resumed"
        assert ids(listener.sent) == list(range(5, 143))

    asyncio.run(main())


def test_open_candle_that_changed_while_the_closed_ones_must_be_read_is_told_too() -> None:
    async def main() -> None:
        loop = HandTurnedLoop()
        closed = [make_candle(n, offset=n, revision=1, kind=CandleEventKind.CLOSE) for n in range(90)]
        kept = arrivals("md.candles", [*closed, make_candle(90, offset=90)])
        origin = Origin({("md.candles", 0): 60}, {"md.candles": "id"})
        options = ResumeOptions(key=KEY, origin=lambda: origin, past=Remembered(kept))
        hub = make_hub(loop, known=[INSTRUMENT], resume=options)
        hub.take(kept[60:])
        token = ResumeTokens(KEY).issue("local", Place({"md.candles": "id"}, {("md.candles", 0): 5}))
        listener, _ = await go_on(hub, loop, token, "KLINE")
        told = [message["data"]["source_offset"] for message in listener.of_type("kline_data")]
        assert told == list(range(5, 91))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "reason"), [(PastGone(), "past_gone"), (PastTooLong(), "too_much"), (PastFailed("down"), "failed")]
)
def test_past_that_cannot_be_read_is_a_reset(fault: Exception, reason: str) -> None:
    async def main() -> None:
        loop = HandTurnedLoop()
        hub = hub_with(Remembered(trades(0, 99), fault), loop)
        listener, recovery = await go_on(hub, loop, TOKEN)
        assert (recovery["data"]["recovery"], recovery["data"]["reason"]) == ("reset", reason)
        hub.take(trades(100, 101))
        loop.settle()
        assert ids(listener.sent)[-3:] == [99, 100, 101]

    asyncio.run(main())


def test_without_a_past_what_memory_does_not_reach_is_a_reset() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, resume=ResumeOptions(key=KEY, recent=RecentLimits(per_room=3), origin=make_origin))
    hub.take(trades(0, 9))
    token = ResumeTokens(KEY).issue("local", Place(make_origin().topic_ids, make_origin().starts))
    listener, _, _ = subscribed(hub, loop, data_type="TRADE", resume=token)
    (recovery,) = listener.of_type("recovery")
    assert recovery["data"]["reason"] == "past_gone"
    assert ids(listener.sent) == [9]


def test_leaving_while_the_past_is_read_ends_it() -> None:
    async def main() -> None:
        loop = HandTurnedLoop()
        listener: Listener
        past = Remembered(trades(0, 99), between=lambda: listener.say(action="unsubscribe", symbol=INSTRUMENT))
        hub = hub_with(past, loop)
        listener = Listener(hub)
        listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", resume=TOKEN)
        for _ in range(20):
            await asyncio.sleep(0)
        hub.take(trades(100, 101))
        loop.settle()
        assert ids(listener.sent) == [5, 6]
        assert listener.of_type("recovery") == []
        assert hub.counts(listener.client) == []

    asyncio.run(main())


def test_one_client_leaves_waiting_places_to_others() -> None:
    async def main() -> None:
        loop = HandTurnedLoop()
        symbols = [f"binance:A{number}-USDT" for number in range(1000)]
        hub = make_hub(loop, known=[INSTRUMENT, *symbols], resume=ResumeOptions(key=KEY, origin=make_origin))
        origin = make_origin()
        ahead = ResumeTokens(KEY).issue("local", Place(origin.topic_ids, {**origin.starts, ("md.trades", 0): 2**53}))
        greedy, other = Listener(hub, "greedy"), Listener(hub, "other")
        for begin in range(0, len(symbols), 100):
            greedy.say(action="subscribe", symbols=symbols[begin : begin + 100], data_type="TRADE", resume=ahead)
        other.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", resume=ahead)
        loop.settle()
        assert [message["data"]["reason"] for message in greedy.of_type("recovery")] == ["busy"] * 800
        assert other.of_type("recovery") == []
        hub.disconnect(greedy.client)
        hub.disconnect(other.client)

    asyncio.run(main())


def test_slow_clients_hold_up_nobody_and_miss_nothing() -> None:
    async def main() -> None:
        loop = HandTurnedLoop()
        hub = hub_with(Remembered(trades(0, 99)), loop)
        slow = [Listener(hub, f"slow {number}") for number in range(10)]
        for listener in slow:
            listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", resume=TOKEN)
            loop.settle()
            hub.fall_behind(listener.client)
        other, _ = await go_on(hub, loop, TOKEN)
        assert ids(other.sent) == list(range(5, 100))
        for listener in slow:
            assert ids(listener.sent) == []
            hub.catch_up(listener.client)
        async with asyncio.timeout(5):
            while not all(listener.of_type("recovery") for listener in slow):
                await asyncio.sleep(0.001)
                loop.settle()
        assert all(ids(listener.sent) == list(range(5, 100)) for listener in slow)

    asyncio.run(main())


def test_token_of_a_replica_that_leads_waits_for_this_one() -> None:
    async def main() -> None:
        loop = HandTurnedLoop()
        hub = hub_with(Remembered([]), loop)
        ahead = ResumeTokens(KEY).issue("local", Place({"md.trades": "id"}, {("md.trades", 0): 103}))
        asyncio.get_running_loop().call_later(0.05, lambda: hub.take(trades(100, 104)))
        listener, recovery = await go_on(hub, loop, ahead)
        assert recovery["data"]["recovery"] == "resumed"
        assert ids(listener.sent) == [103, 104]

    asyncio.run(main())


# parts


ROOM = Room("TRADE", INSTRUMENT)


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 5), st.integers(1, 10), st.integers(0, 60))
def test_from_the_floor_on_everything_is_kept(order: str, per_room: int, in_all: int, start: int) -> None:
    recent = Recent(RecentLimits(per_room, in_all))
    partition = ("t", 0)
    for offset, name in enumerate(order):
        recent.take(Room("TRADE", name), Arrival(Source("t", 0, offset), name))
    assert len(recent) <= in_all
    for name in "abc":
        kept = [arrival.source.offset for arrival in recent.since(Room("TRADE", name), partition, start)]
        told = [offset for offset, each in enumerate(order) if each == name and offset >= start]
        assert kept == told[len(told) - len(kept) :]
        if start >= recent.floor(Room("TRADE", name), partition):
            assert kept == told


def test_topic_made_anew_is_counted_from_its_beginning() -> None:
    recent = Recent(RecentLimits(per_room=2))
    for offset in (5, 6, 7, 0):
        recent.take(ROOM, Arrival(Source("t", 0, offset), offset))
    assert recent.floor(ROOM, ("t", 0)) == 0
    assert [arrival.record for arrival in recent.since(ROOM, ("t", 0), 0)] == [0]


def test_positions_begin_where_the_intake_did_and_again_with_a_topic_made_anew() -> None:
    origins = [Origin({("t", 0): 5, ("t", 1): 7}, {"t": "a"}), Origin({("t", 0): 0, ("t", 1): 0}, {"t": "b"})]
    positions = Positions(lambda: origins[0])
    assert positions.place() == Place({"t": "a"}, {("t", 0): 5, ("t", 1): 7})
    positions.take(Source("t", 0, 8))
    assert positions.place().offsets == {("t", 0): 9, ("t", 1): 7}
    del origins[0]
    positions.take(Source("t", 0, 0))
    assert positions.place() == Place({"t": "b"}, {("t", 0): 1, ("t", 1): 0})
    assert (positions.partitions("t"), positions.partitions("u")) == (2, 0)
