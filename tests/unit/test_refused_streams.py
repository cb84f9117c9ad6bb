"""Streams that a venue refuses, by its documented words: they are down for its reason, once, and the frame is a dead letter."""

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds
from ingest.feed import ListeningVenue, Subscription
from ingest.refusals import Requested
from ingest.session import Session
from market.dead_letter import DeadLetter
from market.feed_status import FeedState, FeedStatus
from market.trade import GapMark, Trade
from schemas.records import Record
from tests.exchange import refusals
from tests.ingest_parts import NOW, trade_frame

NAMING = ("okx", "kraken", "bitfinex", "bitget")
"""Venues that name the stream."""

OKX_60018 = {
    "event": "error",
    "msg": "Wrong URL or channel:candle1m,instId:BTC-USD-SWAP doesn't exist. Please use the correct URL.",
    "code": "60018",
}
KRAKEN = {"event": "subscriptionStatus", "status": "error", "pair": "XBT/USD"}
BITFINEX = {"event": "error", "msg": "symbol: invalid", "code": 10300}


def session_of(venue: str, *streams: Subscription) -> Session:
    """A session with a line that is open for these streams."""
    found = feeds.load(venue)
    session = Session(venue, found.heartbeats)
    session.add_line("line", found.parser(next(iter(found.markets)), {}, 5_000_000))
    session.connecting("line", streams, NOW, "begins")
    session.restored("line", NOW)
    return session


def ask(session: Session, *streams: Subscription, number: int = 7) -> list[str]:
    """Ask for streams on the line as the venue's connections do; the messages."""
    venue = feeds.load(session.venue)
    assert isinstance(venue, ListeningVenue)
    requests = venue.requests(streams, number, NOW, subscribe=True)
    for id_, request in enumerate(requests, number):
        session.asked("line", id_, request.streams)
    return [request.message for request in requests]


def told(session: Session, *frames: Mapping[str, object] | str) -> list[Record]:
    texts = (frame if isinstance(frame, str) else json.dumps(frame) for frame in frames)
    return [record for at, text in enumerate(texts) for record in session.received("line", text.encode(), NOW + at)]


def states(records: Iterable[Record]) -> dict[Subscription, tuple[FeedState, str]]:
    """The state of each stream, and why; each is told once."""
    found = [record for record in records if isinstance(record, FeedStatus)]
    by_stream = {Subscription(one.instrument, one.channel): (one.state, one.reason) for one in found}
    assert len(by_stream) == len(found)
    return by_stream


def letters(records: Iterable[Record]) -> list[DeadLetter]:
    return [record for record in records if isinstance(record, DeadLetter)]


def streams_of(venue: str) -> list[Subscription]:
    return [Subscription(refusals.INSTRUMENTS[venue], channel) for channel in feeds.load(venue).default_channels]


@pytest.mark.parametrize("venue", refusals.VENUES)
def test_every_venues_refusal_is_told_of_each_stream_once(venue: str) -> None:
    streams = streams_of(venue)
    session = session_of(venue, *streams)
    answers = [answer for message in ask(session, *streams) for answer in refusals.answers(venue, message)]
    records = told(session, *answers)
    assert {stream: state for stream, (state, _) in states(records).items()} == dict.fromkeys(streams, FeedState.DOWN)
    assert all(why.startswith(f"the venue refuses it: {refusals.WORDS[venue]}") for _, why in states(records).values())
    assert {letter.reason for letter in letters(records)} == {"venue_error"}
    assert not states(told(session, *answers)), "it is told once"
    assert session.heard_at("line") is None, "a refusal is no market data"


@pytest.mark.parametrize("venue", refusals.VENUES)
def test_a_stream_that_delivers_stays_live_whatever_is_refused(venue: str) -> None:
    streams = streams_of(venue)
    session = session_of(venue, *streams)
    for stream in streams:
        session.tell("line", stream, FeedState.LIVE, "data is coming in", NOW)
    answers = [answer for message in ask(session, *streams) for answer in refusals.answers(venue, message)]
    records = told(session, *answers)
    assert letters(records)
    assert not states(records)


@pytest.mark.parametrize("venue", refusals.VENUES)
def test_a_stream_that_is_silent_or_not_whole_is_down_when_it_is_refused(venue: str) -> None:
    streams = streams_of(venue)
    for state in (FeedState.STALE, FeedState.RESYNC, FeedState.GAP):
        session = session_of(venue, *streams)
        for stream in streams:
            session.tell("line", stream, state, "why", NOW)
        answers = [answer for message in ask(session, *streams) for answer in refusals.answers(venue, message)]
        assert {found for found, _ in states(told(session, *answers)).values()} == {FeedState.DOWN}


@pytest.mark.parametrize("venue", [venue for venue in refusals.VENUES if venue not in NAMING])
def test_requests_of_another_connection_are_refused_no_more(venue: str) -> None:
    streams = streams_of(venue)
    session = session_of(venue, *streams)
    answers = [answer for message in ask(session, *streams) for answer in refusals.answers(venue, message)]
    session.lost("line", NOW, "cut")
    session.connecting("line", streams, NOW, "begins")
    session.restored("line", NOW)
    assert not states(told(session, *answers))


def of_binance(*codes: str) -> list[Subscription]:
    return [Subscription(f"binance:{code}", "trade") for code in codes]


def test_only_the_streams_of_the_refused_request_are_down() -> None:
    streams = of_binance(*(f"C{number}-USDT" for number in range(150)))
    session = session_of("binance", *streams)
    ask(session, *streams)
    refused = states(told(session, {"error": {"code": 2, "msg": "Invalid request"}, "id": 8}))
    assert list(refused) == streams[100:]
    assert not states(told(session, {"error": {"code": 2, "msg": "Invalid request"}, "id": 8})), "it is answered"


@pytest.mark.parametrize(
    ("venue", "channel", "reply", "refusal"),
    [
        ("binance", "trade", {"result": None, "id": 7}, {"code": 2, "msg": "Invalid request", "id": 7}),
        (
            "bybit",
            "publicTrade",
            {"success": True, "ret_msg": "", "req_id": "7", "op": "subscribe"},
            {"success": False, "req_id": "7"},
        ),
        (
            "gateio",
            "spot.trades",
            {"channel": "spot.trades", "id": 7, "event": "subscribe", "error": None, "result": {"status": "success"}},
            {"channel": "spot.trades", "id": 7, "event": "subscribe", "error": {"code": 2, "message": "no"}},
        ),
        (
            "deribit",
            "trades.100ms",
            {"id": 7, "result": ["trades.C_USDT.100ms", "rumours"]},
            {"id": 7, "error": {"code": 13009, "message": "unauthorized"}},
        ),
        (
            "coinbase",
            "level2_batch",
            {"type": "subscriptions", "channels": [{"name": "level2_50", "product_ids": ["C-USDT", "???"]}]},
            {"type": "error", "message": "Failed to subscribe"},
        ),
        (
            "coinbase_advanced",
            "level2",
            {"channel": "subscriptions", "events": [{"subscriptions": {"level2": ["C-USDT"]}}]},
            {"type": "error", "message": "rate limit exceeded"},
        ),
        (
            "kraken_futures",
            "trade",
            {"event": "subscribed", "feed": "trade", "product_ids": ["PF_CUSDT"]},
            {"event": "alert", "message": "Bad websocket message"},
        ),
        (
            "bitstamp",
            "live_trades",
            {"event": "bts:subscription_succeeded", "channel": "live_trades_cusdt", "data": {}},
            {"event": "bts:error", "channel": "", "data": {"code": None, "message": "Incorrect JSON format."}},
        ),
    ],
)
def test_what_was_confirmed_is_not_refused_later(
    venue: str, channel: str, reply: dict[str, object], refusal: dict[str, Any]
) -> None:
    instrument = "kraken_futures:C-USDT-FLEX-PERP" if venue == "kraken_futures" else f"{venue}:C-USDT"
    stream = Subscription(instrument, channel)
    session = session_of(venue, stream)
    ask(session, stream)
    records = told(session, reply, refusal)
    assert [letter.reason for letter in letters(records)] == ["venue_error"]
    assert not states(records)
    ask(session, stream, number=9)
    numbered = {name: type(number)(9) for name, number in refusal.items() if name in ("id", "req_id")}
    assert list(states(told(session, refusal | numbered))) == [stream]


def test_deribit_confirms_some_channels_and_leaves_out_the_others() -> None:
    streams = [Subscription(f"deribit:{code}", "ticker.100ms") for code in ("BTC-USD-PERP", "BTC-USD-210924", "C-USDC")]
    session = session_of("deribit", *streams)
    ask(session, *streams)
    result = ["ticker.BTC-PERPETUAL.100ms", "ticker.BTC-24SEP21.100ms"]
    assert list(states(told(session, {"jsonrpc": "2.0", "id": 7, "result": result}))) == streams[2:]


_REPLIES = [("subscribed", "PI_XBTUSD"), ("unsubscribed", "PI_CUSD")]


def test_kraken_futures_tells_of_the_rest_of_a_request() -> None:
    streams = [Subscription(f"kraken_futures:{code}-PERP", "trade") for code in ("BTC-USD", "C-USD")]
    session = session_of("kraken_futures", *streams)
    ask(session, *streams)
    replies = [{"event": event, "feed": "trade", "product_ids": [product]} for event, product in _REPLIES]
    assert list(states(told(session, *replies, {"event": "error", "message": "Invalid product id"}))) == streams[1:]


def test_a_named_stream_is_refused_alone_where_requests_go_by_order() -> None:
    streams = [Subscription("bitstamp:BTC-USD", channel) for channel in ("live_trades", "diff_order_book")]
    session = session_of("bitstamp", *streams)
    ask(session, *streams)
    error = {"event": "bts:error", "channel": "diff_order_book_btcusd", "data": {"message": "Bad subscription string."}}
    assert list(states(told(session, error))) == streams[1:]


@pytest.mark.parametrize(
    ("venue", "stream", "frame"),
    [
        (
            "bybit",
            ("bybit:BTC-USDT", "publicTrade"),
            {"success": False, "ret_msg": "error:already subscribed,topic:publicTrade.BTCUSDT", "req_id": "7"},
        ),
        (
            "kraken_futures",
            ("kraken_futures:BTC-USD-PERP", "trade"),
            {"event": "alert", "message": "Already subscribed to feed, re-requesting"},
        ),
        (
            "bitfinex",
            ("bitfinex:BTC-USD", "trades"),
            {"event": "error", "code": 10301, "msg": "subscribe: dup", "channel": "trades", "symbol": "tBTCUSD"},
        ),
    ],
)
def test_a_stream_that_is_subscribed_already_is_not_refused(
    venue: str, stream: tuple[str, str], frame: dict[str, object]
) -> None:
    session = session_of(venue, Subscription(*stream))
    ask(session, Subscription(*stream))
    (letter,) = told(session, frame)
    assert isinstance(letter, DeadLetter)


def test_a_refusal_leaves_no_trades_in_doubt() -> None:
    def trade(id_: str, millis: int) -> dict[str, object]:
        figures = {"T": millis, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "2", "i": id_, "seq": millis}
        return {"topic": "publicTrade.BTCUSDT", "ts": millis, "data": [figures]}

    stream = Subscription("bybit:BTC-USDT", "publicTrade")
    session = session_of("bybit", stream)
    ask(session, stream)
    frames = trade("a", NOW // 1000 - 2), {"success": False, "ret_msg": "no"}, trade("b", NOW // 1000 - 1)
    records = told(session, *frames)
    assert [record.trade_id for record in records if isinstance(record, Trade)] == ["a", "b"]
    assert len([record for record in records if isinstance(record, GapMark)]) == 1, "that of the beginning"


def test_streams_that_were_refused_together_are_told_of_once_to_be_asked_for_alone() -> None:
    streams = of_binance("C-USDT", "BTC-USDT", "ETH-USDT", "SOL-USDT")
    session = session_of("binance", *streams)
    ask(session, *streams)
    told(session, {"error": {"code": 2, "msg": "no"}, "id": 7}, trade_frame(1).decode())
    session.unsubscribed("line", streams[2:3], NOW)
    assert session.refused_together("line") == [streams[0], streams[3]], "the others tell, or are not wanted"
    assert session.refused_together("line") == []
    ask(session, streams[0])
    told(session, {"error": {"code": 2, "msg": "no"}, "id": 7})
    assert session.refused_together("line") == [], "it was refused alone"


def test_what_another_connection_refused_is_asked_for_with_the_others() -> None:
    streams = of_binance("C-USDT", "BTC-USDT")
    session = session_of("binance", *streams)
    ask(session, *streams)
    told(session, {"error": {"code": 2, "msg": "no"}, "id": 7})
    session.restored("line", NOW)
    assert session.refused_together("line") == []


def test_a_refused_stream_is_live_again_with_its_next_message() -> None:
    (stream,) = of_binance("BTC-USDT")
    session = session_of("binance", stream)
    ask(session, stream)
    assert states(told(session, {"error": {"code": 2, "msg": "no"}, "id": 7}))[stream][0] is FeedState.DOWN
    assert states(told(session, trade_frame(1).decode()))[stream][0] is FeedState.LIVE


_STREAMS = st.lists(st.sampled_from([Subscription("binance:BTC-USDT", str(number)) for number in range(6)]), unique=True)


@given(st.lists(st.tuples(st.sampled_from(["sent", "answered", "confirmed", "oldest", "clear"]), st.integers(0, 4), _STREAMS)))
def test_only_what_waits_for_an_answer_is_refused(steps: list[tuple[str, int, list[Subscription]]]) -> None:
    """Against a plain list of what was asked for, oldest first."""
    requested, waiting, numbers = Requested(), list[tuple[int, list[Subscription]]](), count(10)
    for step, number, streams in steps:
        if step == "sent" and streams:
            waiting.append((next(numbers), streams))
            requested.sent(*waiting[-1])
        elif step == "answered":
            found = [one for one in waiting if one[0] == 10 + number]
            assert requested.answered(10 + number) == [stream for one in found for stream in one[1]]
            waiting = [one for one in waiting if one not in found]
        elif step == "confirmed":
            requested.confirmed(streams)
            left = [(id_, [stream for stream in asked if stream not in streams]) for id_, asked in waiting]
            waiting = [one for one in left if one[1]]
        elif step == "oldest":
            assert requested.oldest() == (waiting.pop(0)[1] if waiting else [])
        elif step == "clear":
            requested.clear()
            waiting = []


def refuse(venue: str, frame: dict[str, object], *before: Subscription) -> list[Record]:
    return told(session_of(venue, *before), frame)


@pytest.mark.parametrize(
    ("venue", "frame", "stream", "said"),
    [
        ("okx", OKX_60018, ("okx:BTC-USD-PERP", "candle1m"), "60018 Wrong URL"),
        (
            "kraken",
            {**KRAKEN, "errorMessage": "Currency pair not supported", "subscription": {"name": "trade"}},
            ("kraken:BTC-USD", "trade"),
            "Currency pair not supported",
        ),
        (
            "kraken",
            {**KRAKEN, "errorMessage": "Subscription depth not supported", "subscription": {"name": "book", "depth": 42}},
            ("kraken:BTC-USD", "book-42"),
            "Subscription depth not supported",
        ),
        (
            "kraken",
            {**KRAKEN, "errorMessage": "Currency pair not supported", "subscription": {"name": "ohlc", "interval": 5}},
            ("kraken:BTC-USD", "ohlc-5"),
            "Currency pair not supported",
        ),
        (
            "bitfinex",
            {**BITFINEX, "channel": "trades", "symbol": "tABCUSD"},
            ("bitfinex:ABC-USD", "trades"),
            "10300 symbol: invalid",
        ),
        (
            "bitfinex",
            {**BITFINEX, "channel": "candles", "key": "trade:1m:tABCUSD"},
            ("bitfinex:ABC-USD", "candles.1m"),
            "10300 symbol: invalid",
        ),
    ],
)
def test_a_refused_stream_is_down_for_the_venues_reason(
    venue: str, frame: dict[str, object], stream: tuple[str, str], said: str
) -> None:
    letter, status = refuse(venue, frame, Subscription(*stream))
    assert isinstance(letter, DeadLetter)
    assert isinstance(status, FeedStatus)
    assert (letter.reason, letter.source) == ("venue_error", f"{venue}:{stream[1]}")
    assert (status.instrument, status.channel, status.state) == (*stream, FeedState.DOWN)
    assert status.reason.startswith(f"the venue refuses it: {said}")


@pytest.mark.parametrize(
    ("venue", "frame"),
    [
        ("okx", {"event": "error", "code": "60012", "msg": "Invalid request"}),
        ("okx", {**OKX_60018, "msg": "channel:index-tickers,instId:BTC-USDT doesn't exist"}),
        ("okx", {**OKX_60018, "msg": "channel:rumours,instId:BTC-USDT doesn't exist"}),
        ("kraken", {**KRAKEN, "errorMessage": "Malformed request"}),
        ("kraken", {**KRAKEN, "errorMessage": "no", "pair": "XBTUSD", "subscription": {"name": "trade"}}),
        ("bitfinex", {**BITFINEX, "channel": "trades", "symbol": "tX"}),
        ("bitget", {"event": "error", "code": 30006, "msg": "request too many"}),
        ("bitget", {"event": "error", "arg": {"channel": "trade", "instId": "BTCUSDT"}, "code": 30001, "msg": "no"}),
        ("binance", {"error": {"code": 2, "msg": "Invalid request"}, "id": 1}),
        ("binance", {"code": 3, "msg": "Invalid JSON"}),
        ("binance", {"error": {}, "id": 1}),
        ("bybit", {"success": False, "ret_msg": "Invalid symbol", "op": "subscribe"}),
        ("coinbase", {"type": "error", "message": "Failed to subscribe", "reason": "level2 needs authentication"}),
        ("coinbase_advanced", {"type": "error", "message": "authentication failure"}),
        ("deribit", {"jsonrpc": "2.0", "id": 1, "error": {"code": 13009, "message": "unauthorized"}}),
        ("gateio", {"channel": "spot.trades", "event": "subscribe", "error": {"code": 2, "message": "unknown"}}),
        ("kraken_futures", {"event": "error", "message": "Invalid product id"}),
        ("kraken_futures", {"event": "unsubscribed_failed", "feed": "trade", "product_ids": ["PI_XBTUSD"]}),
        ("bitstamp", {"event": "bts:error", "channel": "", "data": {"code": None, "message": "Incorrect JSON format."}}),
    ],
)
def test_a_refusal_that_names_no_stream_to_be_down_is_a_dead_letter_alone(venue: str, frame: dict[str, object]) -> None:
    (letter,) = refuse(venue, frame)
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "venue_error"
