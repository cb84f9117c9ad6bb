"""docs/gateway.yaml describes the WebSocket as it is."""

import asyncio
from typing import Any

import jsonschema
import orjson
import pytest

from gateway.close_codes import CloseCode
from gateway.connections import Connections
from gateway.door import MARKET_PATH, PORTFOLIO_PATH
from gateway.hub import Hub
from gateway.outbox import OutboxLimits
from gateway.refusals import ErrorCode, Refusal
from gateway.replay.replays import Replays
from gateway.requests import parse_request
from gateway.resumption import ResetReason
from market.book_top import BookTop
from market.decimals import ONE
from market.depth import Depth
from market.feed_status import FeedStatus
from market.price import PriceRecord
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from tapeline.topic_docs.examples import example
from tests.access_parts import make_token
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_docs import document, faults, sent_kinds, validator
from tests.gateway_parts import (
    ALL_CHANNELS,
    HandTurnedLoop,
    Listener,
    arrivals,
    make_candle,
    make_channels,
    make_hub,
    make_quote,
)
from tests.replay_parts import ListedArchive, ReplayListener

FILTER = {
    "op": "or",
    "of": [{"op": "gt", "field": "price", "value": "1"}, {"op": "in", "field": "side", "values": ["buy", None]}],
}


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    for reference in references(document()):
        place: Any = document()
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for name in document()["components"]["messages"]:
        jsonschema.Draft7Validator.check_schema(validator(name).schema)
    assert document()["asyncapi"].startswith("3.")
    assert {name: each["address"] for name, each in document()["channels"].items()} == {
        "market": MARKET_PATH,
        "portfolio": PORTFOLIO_PATH,
    }


def test_every_message_is_listed_in_a_channel_and_its_operations() -> None:
    names = set(document()["components"]["messages"])
    channels = document()["channels"]
    assert set().union(*(each["messages"] for each in channels.values())) == names
    for name, channel in channels.items():
        operations = [each for each in document()["operations"].values() if each["channel"]["$ref"] == f"#/channels/{name}"]
        listed = {reference.rpartition("/")[2] for each in operations for reference in references(each["messages"])}
        assert listed == set(channel["messages"])


def test_codes_are_those_of_the_program() -> None:
    described = {code: (entry["name"], entry["reconnect"]) for code, entry in document()["x-close-codes"].items()}
    assert described == {int(code): (code.name, code.reconnect) for code in CloseCode}
    error = document()["components"]["schemas"]["Error"]["properties"]
    assert error["code"]["enum"] == [int(code) for code in ErrorCode]
    assert error["name"]["enum"] == [code.name for code in ErrorCode]


def test_data_have_the_fields_that_channels_tell() -> None:
    schemas = document()["components"]["schemas"]
    for channel in make_channels():
        schema = schemas[f"{channel.data_type.title()}Data"]
        fields = {name for part in schema.get("anyOf", [schema]) for name in part["properties"]}
        assert fields == set(channel.fields), channel.data_type
    assert schemas["DataType"]["enum"] == [name.upper() for name in (*ALL_CHANNELS, "portfolio")]


def resume_at(hub: Hub, *listeners: Listener) -> None:
    """Go on from a token, from one of the future, and from one that nobody gave."""
    token = hub.resumption.token("local")
    for number, listener in enumerate(listeners):
        seen = {"topic": "md.trades", "partition": 0, "offset": 1 + 10**6 * number}
        listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", resume=token, seen=[seen])
        listener.say(action="subscribe", symbol=INSTRUMENT, data_type="KLINE", resume="nonsense")
    recovering = next(iter(listeners[-1].client.session.subscriptions.recovering.values()))
    missed = hub.resumption.reset(ResetReason.AHEAD, recovering.channel, recovering.grant, START)
    hub.recover(listeners[-1].client, recovering, missed)


def conversation() -> list[dict[str, Any]]:
    """One message of every type at least, as a hub sends them."""
    return asyncio.run(converse())


async def converse() -> list[dict[str, Any]]:
    loop, archive = HandTurnedLoop(), ListedArchive()
    hub = make_hub(loop, known=[INSTRUMENT, "okx:BTC-USDT"], outbox=OutboxLimits(messages=2), replays=Replays(archive))
    offsets = iter(range(1000))

    def feed(topic: str, *records: Any) -> None:
        for record in records:
            archive.store(topic, START + len(archive.topics.get(topic, ())), record)
            hub.take(arrivals(topic, [record], next(offsets)))

    def feed_all() -> None:
        feed("md.quotes", make_quote(sequence=next(offsets), bid=ONE, ask=2 * ONE))
        feed("md.trades", *(make_trade(next(offsets)) for _ in range(5)))
        feed("md.candles", make_candle(0, revision=next(offsets)))
        top: Any = example(BookTop)
        price: Any = example(PriceRecord)
        event: Any = example(QualityEvent)
        status: Any = example(FeedStatus)
        feed("md.books", top._replace(received_at=top.received_at + next(offsets)))
        depth: Any = example(Depth)
        feed("md.depth", depth._replace(received_at=depth.received_at + next(offsets)))
        feed("md.prices", price._replace(trades_offset=10**6 + next(offsets)))
        feed("md.quality", event._replace(source_offset=next(offsets)), example(QualityScore))
        feed("md.status", status._replace(reason=f"reason {next(offsets)}"))

    feed_all()
    everything = Listener(hub)
    everything.say(action="subscribe", symbol=INSTRUMENT, data_types=list(ALL_CHANNELS), id=1)
    feed_all()
    picky = Listener(hub)
    picky.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", fields=["price"], filter=FILTER, id="a")
    picky.say(action="subscribe", symbols=["okx:*"], data_type="DEPTH", levels=2, max_rate=5)
    picky.say(action="subscribe", symbols=[INSTRUMENT, "BTC/USDT", "NO/SUCH"])
    picky.say(action="unsubscribe", symbol=INSTRUMENT)
    picky.say(action="ping", id=None)
    resume_at(hub, picky, everything)
    everything.say(action="subscriptions")
    picky.say(action="authenticate", token=make_token())
    picky.say(action="buy")
    picky.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE", filter={"op": "eq", "field": "x", "value": 1})
    feed("md.trades", make_trade(1, instrument="okx:NEW-USDT"))
    hub.fall_behind(everything.client)
    feed_all()
    hub.catch_up(everything.client)
    replayed = ReplayListener(hub)
    replayed.say(action="subscribe", symbol=INSTRUMENT, data_types=list(ALL_CHANNELS), id=1)
    await replayed.heard("replay_end")
    Connections(hub).announce("the gateway stops", hub.everyone(), reconnect_ms=2000)
    hub.set_problem("Kafka is not reachable")
    loop.settle()
    return everything.sent + picky.sent + replayed.sent


def test_everything_that_is_sent_is_as_described() -> None:
    messages = conversation()
    assert [fault for message in messages for fault in faults(message)] == []
    assert {message["type"] for message in messages} == set(sent_kinds())


def test_what_is_not_described_is_found() -> None:
    (message, *_) = [message for message in conversation() if message["type"] == "trade_data"]
    assert faults({**message, "more": 1})
    assert faults({**message, "data": {**message["data"], "price": 1.5}})
    assert faults({**message, "data": {**message["data"], "more": 1}})
    assert faults({**message, "type": "news"})


REQUESTS: list[tuple[dict[str, Any], bool]] = [
    ({"action": "subscriptions", "id": 1}, True),
    ({"action": "subscribe", "symbol": "x", "resume": "t", "seen": [{"topic": "a", "partition": 0, "offset": 0}]}, True),
    ({"action": "subscribe", "symbol": "x", "resume": "", "seen": []}, False),
    ({"action": "subscribe", "symbol": "x", "resume": "t", "seen": [{"topic": "a", "partition": 0}]}, False),
    ({"action": "ping"}, True),
    ({"action": "ping", "id": None}, True),
    ({"action": "ping", "id": 1.5}, False),
    ({"action": "ping", "more": 1}, False),
    ({"action": "authenticate", "token": "x"}, True),
    ({"action": "authenticate", "token": ""}, False),
    ({"action": "subscribe", "symbol": "BTC/USDT", "data_types": ["QUOTE"], "history": 5, "frequency": "1m"}, True),
    ({"action": "subscribe", "symbol": "", "data_type": "QUOTE"}, False),
    ({"action": "subscribe", "symbol": "x", "history": -1}, False),
    ({"action": "subscribe", "symbol": "x", "levels": 0}, False),
    ({"action": "subscribe", "symbol": "x", "max_rate": 0.001}, False),
    ({"action": "subscribe", "symbol": "x", "max_rate": 2}, True),
    ({"action": "subscribe", "symbol": "x", "fields": ["price"], "filter": FILTER}, True),
    ({"action": "subscribe", "symbol": "x", "filter": {"op": "not", "of": {"op": "eq", "field": "a", "value": None}}}, True),
    ({"action": "subscribe", "symbol": "x", "filter": {"op": "like", "field": "a", "value": "b"}}, False),
    ({"action": "subscribe", "symbol": "x", "filter": {"op": "eq", "field": "a", "value": 1.5}}, False),
    ({"action": "subscribe", "symbol": "x", "filter": {"op": "in", "field": "a", "values": []}}, False),
    ({"action": "subscribe", "symbol": "x", "filter": {"op": "and", "of": []}}, False),
]


@pytest.mark.parametrize(("request_", "good"), REQUESTS)
def test_requests_are_taken_as_described(request_: dict[str, Any], good: bool) -> None:
    assert validator(f"{request_['action']}Request").is_valid(request_) is good
    try:
        parse_request(orjson.dumps(request_))
    except Refusal:
        assert not good
    else:
        assert good
