"""What each kind of subscription tells: snapshot, then live; nothing twice."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channel import Channel, ChannelOptions, Grant, find_channels
from gateway.messages import Arrival, Room
from gateway.requests import Request
from market.book_top import BookTop
from market.feed_status import FeedState, FeedStatus
from market.price import PriceRecord
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from schemas.records import Record
from tapeline.topic_docs.examples import example
from tests.builders import INSTRUMENT, START
from tests.gateway_parts import ALL_CHANNELS, HandTurnedLoop, Listener, arrivals, make_channels, make_hub

NEW = {
    "depth": (BookTop, "md.books", "source_offset"),
    "price": (PriceRecord, "md.prices", "trades_offset"),
    "quality": (QualityEvent, "md.quality", "source_offset"),
    "status": (FeedStatus, "md.status", "changed_at"),
}


def make(name: str) -> Channel:
    (channel,) = find_channels([name])
    return channel(ChannelOptions())


def grant(channel: Channel) -> Grant:
    return channel.grant(INSTRUMENT, Request("subscribe"))


def newer(name: str, record: Any, step: int = 1) -> Any:
    """The record as it would be told later."""
    field = NEW[name][2]
    return record._replace(**{field: (getattr(record, field) or 0) + step})


def told(channel: Channel, *taken: Arrival) -> list[dict[str, Any]]:
    """What a channel tells of these arrivals."""
    return [orjson.loads(channel.render(arrival, START).payload) for arrival in taken if channel.take(arrival) is not None]


@pytest.mark.parametrize("name", NEW)
def test_latest_is_the_snapshot_and_newer_ones_follow(name: str) -> None:
    kind, topic, _ = NEW[name]
    channel, record = make(name), example(kind)
    assert channel.snapshot(grant(channel), START) == []
    (first, second) = arrivals(topic, [record, newer(name, record)])
    (live,) = told(channel, first)
    (snapshot,) = [orjson.loads(message.payload) for message in channel.snapshot(grant(channel), START)]
    assert snapshot["metadata"].pop("snapshot") is True
    assert snapshot == live
    assert live["type"] == channel.message_type
    (later,) = told(channel, second)
    assert later["metadata"]["offset"] == 1
    assert len(channel.snapshot(grant(channel), START)) == 1


@pytest.mark.parametrize("name", NEW)
def test_what_was_told_is_not_told_again(name: str) -> None:
    kind, topic, _ = NEW[name]
    channel, record = make(name), example(kind)
    assert len(told(channel, *arrivals(topic, [record, record]))) == 1


@pytest.mark.parametrize("name", ["depth", "price"])
def test_older_record_is_not_told(name: str) -> None:
    kind, topic, _ = NEW[name]
    channel, record = make(name), example(kind)
    assert len(told(channel, *arrivals(topic, [newer(name, record), record]))) == 1


@pytest.mark.parametrize("name", NEW)
def test_data_has_the_fields_that_are_declared_and_no_floats(name: str) -> None:
    kind, topic, _ = NEW[name]
    channel = make(name)
    ((message),) = told(channel, *arrivals(topic, [example(kind)]))
    assert set(message["data"]) <= set(channel.fields)
    assert not floats(message)


def floats(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [found for item in value for found in floats(item)]
    return [value] if isinstance(value, float) else []


def test_levels_are_texts_best_first() -> None:
    (message,) = told(make("depth"), *arrivals("md.books", [example(BookTop)]))
    bids = [float(price) for price, _ in message["data"]["bids"]]
    asks = [float(price) for price, _ in message["data"]["asks"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert message["data"]["state"] == "LIVE"


def test_states_of_all_streams_of_an_instrument_are_told() -> None:
    channel = make("status")
    statuses = [FeedStatus("binance", name, INSTRUMENT, FeedState.LIVE, "", START) for name in ("trade", "bookTicker")]
    assert len(told(channel, *arrivals("md.status", statuses))) == 2
    snapshot = [orjson.loads(message.payload)["data"]["channel"] for message in channel.snapshot(grant(channel), START)]
    assert snapshot == ["bookTicker", "trade"]


def test_scores_and_events_are_told_apart() -> None:
    records: list[Record] = [example(QualityEvent), example(QualityScore)]
    messages = told(make("quality"), *arrivals("md.quality", records))
    assert [message["data"]["kind"] for message in messages] == ["event", "score"]
    assert messages[1]["data"]["counts"] == dict(example(QualityScore).counts)  # type: ignore[union-attr]


def test_every_channel_declares_the_fields_it_tells() -> None:
    for channel in make_channels(intervals=("1m",)):
        assert len(set(channel.fields)) == len(channel.fields) > 5


def test_every_data_type_is_subscribed_in_one_message() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    for name, (kind, topic, _) in NEW.items():
        record: Any = example(kind)
        hub.take(arrivals(topic, [record]))
        hub.take(arrivals(topic, [newer(name, record)], 1))
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_types=[name.upper() for name in ALL_CHANNELS])
    loop.settle()
    answer = listener.of_type("subscribe")[0]["data"]
    assert [grant["data_type"] for grant in answer["subscriptions"]] == [name.upper() for name in ALL_CHANNELS]
    assert answer["refused"] == []
    kinds = {message["type"] for message in listener.sent if message["metadata"].get("snapshot")}
    assert kinds == {"depth_data", "price_data", "quality_data", "status_data"}


@given(st.lists(st.integers(0, 20), max_size=30))
def test_books_are_told_in_the_order_of_their_sources(offsets: list[int]) -> None:
    channel = make("depth")
    record: Any = example(BookTop)
    given_books = [record._replace(source_offset=offset) for offset in offsets]
    found = [message["data"]["source_offset"] for message in told(channel, *arrivals("md.books", given_books))]
    assert found == sorted(set(found))
    assert (found[-1:] or [None])[0] == max(offsets, default=None)


def test_rooms_are_of_the_data_type() -> None:
    for name in NEW:
        channel = make(name)
        assert grant(channel).room == Room(channel.data_type, INSTRUMENT)
