"""Fields, filters, levels and rates of subscriptions."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.filters import MOST_NODES, Filter, check_filter, compile_filter, read_filter, write_filter
from gateway.messages import Message, Room, Source
from gateway.outcome import SessionLimits
from gateway.pacing import Pace
from gateway.refusals import Refusal
from market.book_top import BookTop
from market.candle import CandleEventKind
from market.decimals import ONE
from runtime.metrics import MESSAGES_SENT
from tapeline.topic_docs.examples import example
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_parts import HandTurnedLoop, Listener, arrivals, make_candle, make_hub, make_quote

FIELDS = ("price", "size", "side", "count", "flag")


def filter_of(condition: dict[str, Any]) -> Filter:
    parsed: Filter = msgspec.convert(condition, Filter)
    return parsed


def holds(condition: dict[str, Any], **data: Any) -> bool:
    parsed = filter_of(condition)
    check_filter(parsed, FIELDS)
    return compile_filter(parsed)(data)


class TestFilters:
    @pytest.mark.parametrize(
        ("condition", "data", "wanted"),
        [
            ({"op": "eq", "field": "side", "value": "buy"}, {"side": "buy"}, True),
            ({"op": "eq", "field": "side", "value": "buy"}, {"side": "sell"}, False),
            ({"op": "eq", "field": "price", "value": "1.50"}, {"price": "1.5"}, True),
            ({"op": "eq", "field": "price", "value": 2}, {"price": "2"}, True),
            ({"op": "eq", "field": "side", "value": None}, {"side": None}, True),
            ({"op": "eq", "field": "flag", "value": True}, {"flag": True}, True),
            ({"op": "eq", "field": "flag", "value": 1}, {"flag": True}, False),
            ({"op": "eq", "field": "side", "value": "x"}, {"side": ["x"]}, False),
            ({"op": "in", "field": "side", "values": ["buy", None]}, {"side": None}, True),
            ({"op": "in", "field": "count", "values": [1, "3"]}, {"count": 3}, True),
            ({"op": "gt", "field": "price", "value": "9"}, {"price": "10"}, True),
            ({"op": "gt", "field": "price", "value": "10"}, {"price": "10.000000000001"}, True),
            ({"op": "gt", "field": "price", "value": "10"}, {"price": "10"}, False),
            ({"op": "gt", "field": "price", "value": "-1"}, {"price": None}, False),
            ({"op": "gt", "field": "side", "value": "1"}, {"side": "sell"}, False),
            ({"op": "lt", "field": "price", "value": 10}, {"price": "-10.5"}, True),
            ({"op": "lt", "field": "price", "value": 10}, {}, False),
            ({"op": "starts_with", "field": "side", "value": "b"}, {"side": "buy"}, True),
            ({"op": "starts_with", "field": "side", "value": "b"}, {"side": None}, False),
            ({"op": "not", "of": {"op": "eq", "field": "side", "value": "buy"}}, {"side": "sell"}, True),
        ],
    )
    def test_conditions(self, condition: dict[str, Any], data: dict[str, Any], wanted: bool) -> None:
        assert holds(condition, **data) is wanted

    def test_conditions_are_joined(self) -> None:
        high = {"op": "gt", "field": "price", "value": "1"}
        low = {"op": "lt", "field": "price", "value": "-1"}
        assert holds({"op": "or", "of": [high, low]}, price="-2")
        assert not holds({"op": "or", "of": [high, low]}, price="0")
        buy = {"op": "eq", "field": "side", "value": "buy"}
        assert holds({"op": "and", "of": [high, buy]}, price="2", side="buy")
        assert not holds({"op": "and", "of": [high, buy]}, price="2", side="sell")

    @given(st.decimals(-100, 100, places=6), st.decimals(-100, 100, places=6))
    def test_numbers_are_compared_exactly(self, value: Decimal, bound: Decimal) -> None:
        texts = {"price": f"{value:f}"}
        assert holds({"op": "gt", "field": "price", "value": f"{bound:f}"}, **texts) is (value > bound)
        assert holds({"op": "lt", "field": "price", "value": f"{bound:f}"}, **texts) is (value < bound)
        assert holds({"op": "eq", "field": "price", "value": f"{bound:f}"}, **texts) is (value == bound)

    @pytest.mark.parametrize(
        ("condition", "fault"),
        [
            ({"op": "eq", "field": "prize", "value": 1}, "no field 'prize'"),
            ({"op": "gt", "field": "price", "value": "high"}, "no number"),
            ({"op": "gt", "field": "price", "value": "1e5"}, "no number"),
            ({"op": "and", "of": [{"op": "eq", "field": "price", "value": n} for n in range(MOST_NODES)]}, "64 conditions"),
        ],
    )
    def test_filter_that_could_not_work_is_refused(self, condition: dict[str, Any], fault: str) -> None:
        with pytest.raises(Refusal, match=fault):
            check_filter(filter_of(condition), FIELDS)

    def test_depth_of_a_filter_is_limited(self) -> None:
        condition: dict[str, Any] = {"op": "eq", "field": "price", "value": 1}
        for _ in range(7):
            condition = {"op": "not", "of": condition}
        check_filter(filter_of(condition), FIELDS)
        with pytest.raises(Refusal, match="8 inside each other"):
            check_filter(filter_of({"op": "not", "of": condition}), FIELDS)

    @given(
        st.recursive(
            st.builds(
                lambda op, field, value: {"op": op, "field": field, "value": value},
                st.sampled_from(["eq", "gt", "lt"]),
                st.sampled_from(FIELDS),
                st.integers(-5, 5),
            ),
            lambda below: st.one_of(
                st.builds(lambda of: {"op": "not", "of": of}, below),
                st.builds(
                    lambda op, of: {"op": op, "of": of}, st.sampled_from(["and", "or"]), st.lists(below, min_size=1, max_size=3)
                ),
            ),
            max_leaves=8,
        ),
        st.fixed_dictionaries({field: st.none() | st.integers(-5, 5).map(str) for field in FIELDS}),
    )
    def test_compiled_filter_means_what_it_says(self, condition: dict[str, Any], data: dict[str, Any]) -> None:
        parsed = filter_of(condition)
        assert compile_filter(parsed)(data) is meaning(condition, data)
        assert read_filter(write_filter(parsed)) == parsed
        assert write_filter(filter_of(condition)) == write_filter(parsed)


def meaning(condition: dict[str, Any], data: dict[str, Any]) -> bool:
    """The plain meaning of a filter over whole numbers."""
    match condition["op"]:
        case "not":
            return not meaning(condition["of"], data)
        case "and":
            return all(meaning(each, data) for each in condition["of"])
        case "or":
            return any(meaning(each, data) for each in condition["of"])
    value = None if data[condition["field"]] is None else int(data[condition["field"]])
    if value is None:
        return False
    compared: dict[str, bool] = {
        "eq": value == condition["value"],
        "gt": value > condition["value"],
        "lt": value < condition["value"],
    }
    return compared[condition["op"]]


class TestSubscribing:
    def setup_method(self) -> None:
        self.loop = HandTurnedLoop()
        self.hub = make_hub(self.loop, known=[INSTRUMENT])
        self.offset = 0

    def subscribed(self, **wanted: Any) -> tuple[Listener, dict[str, Any]]:
        listener = Listener(self.hub)
        return listener, self.ask(listener, **wanted)

    def ask(self, listener: Listener, **wanted: Any) -> dict[str, Any]:
        listener.say(action="subscribe", symbol=INSTRUMENT, **wanted)
        self.loop.settle()
        answer = next(message for message in reversed(listener.sent) if message["type"] in ("subscribe", "error"))
        data: dict[str, Any] = answer["data"]
        return data["subscriptions"][0] if answer["type"] == "subscribe" else data

    def feed(self, topic: str, *records: Any) -> None:
        self.hub.take(arrivals(topic, records, self.offset))
        self.offset += len(records)

    def test_settings_are_echoed_as_granted(self) -> None:
        condition = {"op": "gt", "field": "price", "value": "5"}
        _, granted = self.subscribed(data_type="TRADE", fields=["size", "price", "price"], filter=condition)
        assert (granted["fields"], granted["filter"]) == (["price", "size"], condition)
        assert "max_rate" not in granted
        _, depth = self.subscribed(data_type="DEPTH", levels=3, max_rate=2)
        assert (depth["levels"], depth["max_rate"]) == (3, 2.0)

    @pytest.mark.parametrize(
        ("wanted", "name"),
        [
            ({"data_type": "TRADE", "fields": ["prize"]}, "INVALID_SETTING"),
            ({"data_type": "TRADE", "levels": 3}, "INVALID_SETTING"),
            ({"data_type": "TRADE", "max_rate": 1}, "INVALID_SETTING"),
            ({"data_type": "TRADE", "filter": {"op": "eq", "field": "x", "value": 1}}, "INVALID_FILTER"),
            ({"data_type": "TRADE", "filter": {"op": "gt", "field": "price", "value": 1.5}}, "INVALID_MESSAGE"),
            ({"data_type": "TRADE", "filter": {"op": "like", "field": "price", "value": "1"}}, "INVALID_MESSAGE"),
            ({"data_type": "TRADE", "filter": {"op": "eq", "field": "price", "value": 2**53 + 1}}, "INVALID_MESSAGE"),
            ({"data_type": "TRADE", "filter": {"op": "gt", "field": "price", "value": -(2**53) - 1}}, "INVALID_MESSAGE"),
            ({"data_type": "DEPTH", "levels": 0}, "INVALID_MESSAGE"),
            ({"data_type": "QUOTE", "max_rate": 0}, "INVALID_MESSAGE"),
        ],
    )
    def test_settings_that_cannot_be_granted_are_refused(self, wanted: dict[str, Any], name: str) -> None:
        listener, answer = self.subscribed(**wanted)
        assert answer["name"] == name
        assert listener.client.session.subscriptions.rooms == {}

    def test_filter_and_fields_hold_for_snapshot_and_live_and_for_nobody_else(self) -> None:
        self.feed("md.trades", make_trade(1, price=3))
        condition = {"op": "gt", "field": "price", "value": "5"}
        picky, granted = self.subscribed(data_type="TRADE", filter=condition, fields=["price"])
        whole, _ = self.subscribed(data_type="TRADE")
        assert granted["snapshot"] == 0
        self.feed("md.trades", make_trade(2, price=6), make_trade(3, price=4), make_trade(4, price=9))
        self.loop.settle()
        told = [message["data"] for message in picky.of_type("trade_data")]
        assert told == [{"instrument": INSTRUMENT, "price": "6"}, {"instrument": INSTRUMENT, "price": "9"}]
        assert [message["data"]["price"] for message in whole.of_type("trade_data")] == ["3", "6", "4", "9"]
        assert picky.of_type("trade_data")[0]["metadata"]["offset"] == 1

    def test_filters_for_one_and_for_true_are_two(self) -> None:
        conditions: list[dict[str, Any]] = [{"op": "eq", "field": "is_closed", "value": value} for value in (1, True)]
        conditions += [{"op": "in", "field": "is_closed", "values": [value]} for value in (1, True)]
        subscribed = [self.subscribed(data_type="KLINE", filter=condition, history=0) for condition in conditions]
        assert [repr(granted["filter"]) for _, granted in subscribed] == [repr(condition) for condition in conditions]
        self.feed("md.candles", make_candle(kind=CandleEventKind.CLOSE, revision=1))
        self.loop.settle()
        assert [len(listener.of_type("kline_data")) for listener, _ in subscribed] == [0, 1, 0, 1]

    def test_levels_are_cut(self) -> None:
        top: Any = example(BookTop)
        self.feed("md.books", top)
        shallow, _ = self.subscribed(data_type="DEPTH", levels=1)
        whole, _ = self.subscribed(data_type="DEPTH")
        (few,), (all_of_them,) = shallow.of_type("depth_data"), whole.of_type("depth_data")
        assert few["data"]["bids"] == all_of_them["data"]["bids"][:1]
        assert len(all_of_them["data"]["bids"]) > 1

    def test_rate_tells_the_first_at_once_and_then_the_latest(self) -> None:
        slow, _ = self.subscribed(data_type="QUOTE", max_rate=2)
        whole, _ = self.subscribed(data_type="QUOTE")
        began = self.loop.now
        for number in range(1, 11):
            self.feed("md.quotes", make_quote(sequence=number, bid=number * ONE))
        while self.loop.now < began + 0.4:
            self.loop.turn()
            self.loop.now += 0.1
        assert [message["data"]["bid"] for message in slow.of_type("market_data")] == ["1"]
        self.loop.settle()
        assert [message["data"]["bid"] for message in slow.of_type("market_data")] == ["1", "10"]
        assert len(whole.of_type("market_data")) == 10

    def test_what_a_rate_held_back_is_counted_when_it_goes(self) -> None:
        sent = MESSAGES_SENT.labels("market_data")
        self.subscribed(data_type="QUOTE", max_rate=2)
        before = sent._value.get()
        for number in range(1, 4):
            self.feed("md.quotes", make_quote(sequence=number, bid=number * ONE))
        assert sent._value.get() == before + 1
        self.loop.settle()
        assert sent._value.get() == before + 2

    def test_rate_loses_no_closed_candle(self) -> None:
        slow, _ = self.subscribed(data_type="KLINE", max_rate=0.5, history=0)
        for minute in range(5):
            for offset in range(3):
                self.feed("md.candles", make_candle(minute, offset=minute * 10 + offset, revision=offset))
        self.loop.settle()
        last = {message["data"]["open_time"]: message["data"]["revision"] for message in slow.of_type("kline_data")}
        assert list(last.values()) == [2] * 5

    def test_subscribing_again_changes_the_settings(self) -> None:
        listener, _ = self.subscribed(data_type="TRADE", fields=["price"])
        self.ask(listener, data_type="TRADE", fields=["size"])
        assert self.hub.traffic.subscriptions == 1
        self.feed("md.trades", make_trade(1))
        self.loop.settle()
        assert [message["data"] for message in listener.of_type("trade_data")] == [{"instrument": INSTRUMENT, "size": "1"}]
        listener.say(action="unsubscribe", symbol=INSTRUMENT)
        self.feed("md.trades", make_trade(2))
        self.loop.settle()
        assert len(listener.of_type("trade_data")) == 1
        assert len(self.hub.publisher.rooms) == 0
        assert self.hub.publisher.rooms.showings(Room("TRADE", INSTRUMENT)) == []

    def test_client_that_leaves_is_told_nothing_that_was_held_back(self) -> None:
        listener, _ = self.subscribed(data_type="QUOTE", max_rate=1)
        self.feed("md.quotes", make_quote(sequence=1, bid=ONE), make_quote(sequence=2, bid=2 * ONE))
        listener.say(action="unsubscribe", symbol=INSTRUMENT)
        self.loop.settle()
        assert len(listener.of_type("market_data")) == 1

    def test_view_of_a_client_that_is_behind_is_conflated_by_itself(self) -> None:
        listener, _ = self.subscribed(data_type="QUOTE", fields=["bid"])
        self.hub.fall_behind(listener.client)
        for number in range(1, 6):
            self.feed("md.quotes", make_quote(sequence=number, bid=number * ONE))
        self.hub.catch_up(listener.client)
        assert [message["data"] for message in listener.of_type("market_data")] == [{"instrument": INSTRUMENT, "bid": "5"}]


class TestVenues:
    OTHERS = ("binance:ETH-USDT", "okx:BTC-USDT")

    def setup_method(self) -> None:
        self.loop = HandTurnedLoop()
        self.hub = make_hub(self.loop, known=[INSTRUMENT, *self.OTHERS])
        self.listener = Listener(self.hub)

    def say(self, **message: Any) -> dict[str, Any]:
        self.listener.say(**message)
        self.loop.settle()
        data: dict[str, Any] = self.listener.sent[-1]["data"]
        return data

    def trade(self, instrument: str, number: int = 1) -> None:
        self.hub.take(arrivals("md.trades", [make_trade(number, instrument=instrument)], number))
        self.loop.settle()

    def heard(self) -> list[str]:
        return [message["data"]["instrument"] for message in self.listener.of_type("trade_data")]

    def test_all_instruments_of_the_venue_are_subscribed_and_those_that_come_later(self) -> None:
        answer = self.say(action="subscribe", symbol="binance:*", data_type="TRADE", fields=["price"])
        assert [grant["instrument"] for grant in answer["subscriptions"]] == [INSTRUMENT, "binance:ETH-USDT"]
        assert answer["watching"] == [{"data_type": "TRADE", "instrument": "binance:*"}]
        for instrument in (INSTRUMENT, *self.OTHERS, "binance:NEW-USDT", "okx:NEW-USDT"):
            self.trade(instrument)
        assert self.heard() == [INSTRUMENT, "binance:ETH-USDT", "binance:NEW-USDT"]
        (told,) = [message for message in self.listener.of_type("subscribe") if "id" not in message][1:]
        assert [grant["fields"] for grant in told["data"]["subscriptions"]] == [["price"]]
        assert self.hub.traffic.subscriptions == 3

    def test_venue_is_left_as_a_whole(self) -> None:
        self.say(action="subscribe", symbols=["binance:*", "okx:*"], data_type="TRADE")
        answer = self.say(action="unsubscribe", symbol="binance:*")
        assert len(answer["unsubscribed"]) == 2
        for instrument in (INSTRUMENT, "binance:NEW-USDT", "okx:NEW-USDT"):
            self.trade(instrument)
        assert self.heard() == ["okx:NEW-USDT"]
        self.hub.disconnect(self.listener.client)
        assert not self.hub._watchers

    def test_venue_without_instruments_is_watched_and_one_that_cannot_be_is_refused(self) -> None:
        assert self.say(action="subscribe", symbol="kraken:*", data_type="TRADE")["subscriptions"] == []
        self.trade("kraken:BTC-USD")
        assert self.heard() == ["kraken:BTC-USD"]
        for settings in ({"interval": "7m", "data_type": "KLINE"}, {"max_rate": 1, "data_type": "TRADE"}):
            assert "name" in self.say(action="subscribe", symbol="gateio:*", **settings)

    @pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
    def test_message_with_too_many_symbols_changes_no_watch(self, action: str) -> None:
        self.say(action="subscribe", symbol="okx:*", data_type="TRADE")
        session = self.listener.client.session
        before = dict(session.subscriptions.watches)
        symbols = ["okx:*", "kraken:*", *(f"binance:C{number}-USDT" for number in range(500))]
        assert self.say(action=action, symbols=symbols, data_type="TRADE")["name"] == "TOO_MANY_SYMBOLS"
        assert session.subscriptions.watches == before

    @pytest.mark.parametrize("symbol", ["*:*", "::*", ":*", "BINANCE:*", "bin ance:*", "x" * 33 + ":*", "binance:BTC:*"])
    def test_venue_that_there_cannot_be_is_refused(self, symbol: str) -> None:
        refused = self.say(action="subscribe", symbol=symbol, data_type="TRADE")
        assert (refused["name"], refused["symbol"]) == ("UNKNOWN_SYMBOL", symbol)
        assert "names no venue" in refused["message"]
        answer = self.say(action="subscribe", symbols=[symbol, "okx:*"], data_type="TRADE")
        assert [refusal["symbol"] for refusal in answer["refused"]] == [symbol]
        assert [room["instrument"] for room in answer["watching"]] == ["okx:*"]
        assert len(self.listener.client.session.subscriptions.watches) == 1

    def test_instruments_beyond_the_limit_are_refused_once(self) -> None:
        hub = make_hub(self.loop, known=[f"binance:C{n}-USDT" for n in range(30)], session=SessionLimits(subscriptions=5))
        listener = Listener(hub)
        listener.say(action="subscribe", symbol="binance:*")
        self.loop.settle()
        answer = listener.sent[-1]["data"]
        assert len(answer["subscriptions"]) == 5
        assert [refusal["name"] for refusal in answer["refused"]] == ["TOO_MANY_SUBSCRIPTIONS"]


def paced(key: str, number: int) -> Message:
    return Message(Room("QUOTE", key), key, Source("md.quotes", 0, number), orjson.dumps(number))


@given(
    st.floats(0.1, 50),
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2)), max_size=60),
)
def test_no_key_is_told_too_often_and_its_last_message_is_told(per_second: float, steps: list[tuple[str, float]]) -> None:
    pace, now = Pace(per_second), 0.0
    told: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}
    last: dict[str, int] = {}

    def note(message: Message) -> None:
        told[message.room.instrument].append((now, message.source.offset))

    for number, (key, pause) in enumerate(steps):
        until = now + pause
        while (wait := pace.wait(now)) is not None and now + wait <= until:
            now += wait
            for message in pace.due(now):
                note(message)
        now, last[key] = until, number
        message = paced(key, number)
        if pace.take(message, now):
            note(message)
    while (wait := pace.wait(now)) is not None:
        now += wait
        for message in pace.due(now):
            note(message)
    for key, entries in told.items():
        assert [number for _, number in entries][-1:] == ([last[key]] if key in last else [])
        assert all(after - before >= 1 / per_second - 1e-6 for (before, _), (after, _) in pairwise(entries))
    assert sum(map(len, told.values())) + pace.conflated == len(steps)
