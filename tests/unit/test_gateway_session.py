"""One client's conversation with the gateway."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import Admission, Visitor
from gateway.close_codes import CloseCode
from gateway.instruments import Instruments
from gateway.messages import Room
from gateway.outcome import Outcome, SessionLimits
from gateway.refusals import ErrorCode, Refusal
from gateway.session import Session
from tests.builders import INSTRUMENT, START
from tests.gateway_parts import arrivals, make_candle, make_channels, make_resumption

KNOWN = (INSTRUMENT, "binance:ETH-USDT", "kraken:ETH-USDT", "binance:BTC-USDT-PERP")


def make_visitor() -> tuple[Visitor, Admission]:
    admission = Admission()
    return admission.arrive("127.0.0.1", None, START), admission


def make_session(**limits: int) -> Session:
    channels = {channel.data_type: channel for channel in make_channels(intervals=("1m", "5m"))}
    visitor, admission = make_visitor()
    return Session("test", channels, Instruments(KNOWN), SessionLimits(**limits), visitor, admission, make_resumption())


def say(session: Session, now: int = START, **message: Any) -> tuple[dict[str, Any], Outcome]:
    outcome = session.receive(orjson.dumps(message), now)
    return orjson.loads(outcome.reply), outcome


def error_of(session: Session, text: bytes) -> dict[str, Any]:
    reply = orjson.loads(session.receive(text, START).reply)
    assert reply["type"] == "error"
    return dict(reply["data"])


def test_subscription_is_granted_with_its_settings_and_the_id_of_the_request() -> None:
    session = make_session()
    reply, outcome = say(
        session, action="subscribe", id="a1", symbol="BTC/USDT", data_types=["QUOTE", "KLINE"], interval="5m", history=7
    )
    assert (reply["type"], reply["id"], reply["timestamp"]) == ("subscribe", "a1", START)
    quote, kline = reply["data"]["subscriptions"]
    assert quote == {
        "symbol": "BTC/USDT",
        "instrument": INSTRUMENT,
        "data_type": "QUOTE",
        "message_type": "market_data",
        "delivery": "latest",
        "snapshot": 0,
    }
    assert (kline["interval"], kline["history"], kline["delivery"]) == ("5m", 7, "history")
    assert outcome.joins == [Room("QUOTE", INSTRUMENT), Room("KLINE", INSTRUMENT, "5m")]


def test_without_a_data_type_quotes_are_meant() -> None:
    _, outcome = say(make_session(), action="subscribe", symbol=INSTRUMENT)
    assert outcome.joins == [Room("QUOTE", INSTRUMENT)]


def test_history_is_cut_to_what_is_kept() -> None:
    reply, _ = say(make_session(), action="subscribe", symbol=INSTRUMENT, data_type="KLINE", history=99_999)
    assert reply["data"]["subscriptions"][0]["history"] == 1000


def test_unsubscribing_leaves_the_rooms_named() -> None:
    session = make_session()
    say(session, action="subscribe", symbol=INSTRUMENT, data_types=["quote", "trade", "kline"])
    reply, outcome = say(session, action="unsubscribe", symbol="btc-usdt", data_type="TRADE", id=4)
    assert reply["data"]["unsubscribed"] == [{"data_type": "TRADE", "instrument": INSTRUMENT}]
    assert outcome.leaves == [Room("TRADE", INSTRUMENT)]
    reply, _ = say(session, action="unsubscribe", symbol=INSTRUMENT)
    assert {room["data_type"] for room in reply["data"]["unsubscribed"]} == {"QUOTE", "KLINE"}
    assert session.subscriptions.rooms == {}


def test_unsubscribing_what_was_not_subscribed_is_answered() -> None:
    reply, _ = say(make_session(), action="unsubscribe", symbol=INSTRUMENT, id=1)
    assert (reply["type"], reply["data"]["unsubscribed"]) == ("unsubscribe", [])


def test_ping_is_answered_by_pong() -> None:
    reply, _ = say(make_session(), action="ping", id=9)
    assert set(reply.pop("metadata")) == {"resume"}
    assert reply == {"type": "pong", "timestamp": START, "data": {}, "id": 9}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", ErrorCode.MALFORMED_JSON),
        (b"{", ErrorCode.MALFORMED_JSON),
        (b'{"action":"ping"} {}', ErrorCode.MALFORMED_JSON),
        (b'{"action":"subscribe","symbol":"\\ud800"}', ErrorCode.MALFORMED_JSON),
        (b"[" * 50_000, ErrorCode.TOO_DEEP),
        (b'{"id":' + b"[" * 50_000, ErrorCode.TOO_DEEP),
        (b"null", ErrorCode.INVALID_MESSAGE),
        (b"{}", ErrorCode.INVALID_MESSAGE),
        (b'{"action":"subscribe"}', ErrorCode.INVALID_MESSAGE),
        (b'{"action":"subscribe","symbol":7}', ErrorCode.INVALID_MESSAGE),
        (b'{"action":"subscribe","sybmol":"BTC/USDT"}', ErrorCode.INVALID_MESSAGE),
        (b'{"action":"subscribe","symbol":"BTC/USDT","id":{}}', ErrorCode.INVALID_MESSAGE),
        (b'{"action":"ping","id":123456789012345678901234567890}', ErrorCode.INVALID_MESSAGE),
        (b'{"action":"subscribe","symbol":"BTC/USDT","data_type":"KLINE","history":-1}', ErrorCode.INVALID_MESSAGE),
        (
            b'{"action":"subscribe","symbol":"binance:BTC-USDT","interval":"1m","frequency":"5m"}',
            ErrorCode.INVALID_MESSAGE,
        ),
        (b'{"action":"buy"}', ErrorCode.UNKNOWN_ACTION),
        (b'{"action":"subscribe","symbol":"NO/SUCH"}', ErrorCode.UNKNOWN_SYMBOL),
        (b'{"action":"subscribe","symbol":"/-/"}', ErrorCode.UNKNOWN_SYMBOL),
        (b'{"action":"subscribe","symbol":"ETH/USDT"}', ErrorCode.AMBIGUOUS_SYMBOL),
        (b'{"action":"subscribe","symbol":"binance:BTC-USDT","data_type":"NEWS"}', ErrorCode.UNKNOWN_DATA_TYPE),
        (b'{"action":"subscribe","symbol":"binance:BTC-USDT","data_type":"KLINE","interval":"7m"}', ErrorCode.UNKNOWN_INTERVAL),
        (b'{"action":"' + b"x" * 70_000 + b'"}', ErrorCode.MESSAGE_TOO_LARGE),
    ],
)
def test_every_mistake_has_its_code(text: bytes, code: ErrorCode) -> None:
    error = error_of(make_session(), text)
    assert (error["code"], error["name"]) == (code, code.name)
    assert error["message"]


def test_refused_message_is_answered_with_its_id() -> None:
    reply = orjson.loads(make_session().receive(b'{"id":5,"action":"subscribe","symbol":[]}', START).reply)
    assert reply["id"] == 5


def test_ambiguous_symbol_lists_the_candidates() -> None:
    error = error_of(make_session(), b'{"action":"subscribe","symbol":"ETH/USDT"}')
    assert error["candidates"] == ["binance:ETH-USDT", "kraken:ETH-USDT"]


def test_unknown_symbol_lists_similar_ones() -> None:
    error = error_of(make_session(), b'{"action":"subscribe","symbol":"BTC/USD"}')
    assert error["candidates"] == ["binance:BTC-USDT", "binance:BTC-USDT-PERP"]


def test_good_symbols_are_granted_beside_bad_ones() -> None:
    reply, outcome = say(make_session(), action="subscribe", symbols=["NO/SUCH", INSTRUMENT], data_types=["QUOTE", "NEWS"])
    assert [refused["name"] for refused in reply["data"]["refused"]] == ["UNKNOWN_DATA_TYPE", "UNKNOWN_SYMBOL"]
    assert outcome.joins == [Room("QUOTE", INSTRUMENT)]


def test_when_nothing_is_granted_every_refusal_is_told_in_one_error() -> None:
    error = error_of(make_session(), b'{"action":"subscribe","symbols":["NO/SUCH","ETH/USDT"]}')
    assert error["name"] == "UNKNOWN_SYMBOL"
    assert [other["name"] for other in error["others"]] == ["AMBIGUOUS_SYMBOL"]


def test_subscriptions_are_limited_but_may_be_repeated() -> None:
    session = make_session(subscriptions=1)
    say(session, action="subscribe", symbol=INSTRUMENT)
    again, _ = say(session, action="subscribe", symbol=INSTRUMENT)
    assert again["type"] == "subscribe"
    more, outcome = say(session, action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    assert more["data"]["name"] == "TOO_MANY_SUBSCRIPTIONS"
    assert outcome.joins == []


def test_snapshots_of_one_request_are_limited() -> None:
    channels = make_channels()
    instruments = [INSTRUMENT, "binance:ETH-USDT"]
    for channel in channels:
        if channel.data_type == "KLINE":
            for instrument in instruments:
                for arrival in arrivals("md.candles", [make_candle(minute, instrument=instrument) for minute in range(3)]):
                    channel.take(arrival)
    by_type = {channel.data_type: channel for channel in channels}
    visitor, admission = make_visitor()
    session = Session(
        "test",
        by_type,
        Instruments(KNOWN),
        SessionLimits(snapshot_messages=5),
        visitor,
        admission,
        make_resumption(),
    )
    reply, outcome = say(session, action="subscribe", symbols=instruments, data_type="KLINE")
    assert [(refused["name"], refused["symbol"]) for refused in reply["data"]["refused"]] == [
        ("TOO_MUCH_HISTORY", "binance:ETH-USDT")
    ]
    assert len(outcome.snapshots) == 3
    reply, outcome = say(session, action="subscribe", symbols=instruments, data_type="KLINE", history=2)
    assert (reply["data"]["refused"], len(outcome.snapshots)) == ([], 4)


def test_interval_may_be_called_frequency() -> None:
    reply, outcome = say(make_session(), action="subscribe", symbol=INSTRUMENT, data_type="KLINE", frequency="5m")
    assert outcome.joins == [Room("KLINE", INSTRUMENT, "5m")]
    assert reply["data"]["subscriptions"][0]["interval"] == "5m"


def test_symbols_of_a_message_are_limited() -> None:
    reply, _ = say(make_session(symbols_per_message=2), action="subscribe", symbols=["A", "B", "C"])
    assert reply["data"]["name"] == "TOO_MANY_SYMBOLS"


def test_mistakes_close_nothing_until_they_do_not_end() -> None:
    session = make_session(errors=3)
    assert [session.receive(b"{", START).close for _ in range(4)] == [None, None, None, CloseCode.TOO_MANY_ERRORS]


def test_time_forgives_mistakes() -> None:
    session = make_session(errors=3)
    later = (START + second * 1_000_000 for second in range(50))
    assert all(session.receive(b"{", now).close is None for now in later)


def test_binary_is_refused_without_closing() -> None:
    outcome = make_session().refuse(Refusal(ErrorCode.BINARY_NOT_SUPPORTED, "no"), START)
    assert orjson.loads(outcome.reply)["data"]["name"] == "BINARY_NOT_SUPPORTED"
    assert outcome.close is None


def test_ambiguous_alias_can_be_named_in_full() -> None:
    _, outcome = say(make_session(), action="subscribe", symbol="kraken:ETH-USDT")
    assert outcome.joins == [Room("QUOTE", "kraken:ETH-USDT")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["subscribe", "unsubscribe", "ping"]) | json_values,
        "symbol": st.sampled_from(KNOWN) | json_values,
        "symbols": json_values,
        "data_types": st.lists(st.sampled_from(["QUOTE", "TRADE", "KLINE", "X"])) | json_values,
        "interval": json_values,
        "history": json_values,
        "id": json_values,
    },
)


@given(messages.map(lambda message: json.dumps(message).encode()) | st.binary(max_size=80))
def test_every_text_gets_exactly_one_answer(text: bytes) -> None:
    session = make_session()
    outcome = session.receive(text, START)
    assert orjson.loads(outcome.reply)["type"] in {"subscribe", "unsubscribe", "pong", "error"}
    assert set(session.subscriptions.rooms.values()) == set(outcome.joins)
