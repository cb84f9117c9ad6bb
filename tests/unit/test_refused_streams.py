"""Streams that a venue refuses, by its documented words: they are down for its reason, once, and the frame is a dead letter."""

import json

import pytest

from ingest import feeds
from ingest.feed import Subscription
from ingest.session import Session
from market.dead_letter import DeadLetter
from market.feed_status import FeedState, FeedStatus
from schemas.records import Record
from tests.ingest_parts import NOW

OKX_60018 = {
    "event": "error",
    "msg": "Wrong URL or channel:candle1m,instId:BTC-USD-SWAP doesn't exist. Please use the correct URL.",
    "code": "60018",
}
KRAKEN = {"event": "subscriptionStatus", "status": "error", "pair": "XBT/USD"}
BITFINEX = {"event": "error", "msg": "symbol: invalid", "code": 10300}


def refuse(venue: str, frame: dict[str, object], *before: Subscription) -> list[Record]:
    found = feeds.load(venue)
    session = Session(venue, found.heartbeats)
    session.add_line("line", found.parser(next(iter(found.markets)), {}, 5_000_000))
    session.connecting("line", before, NOW, "begins")
    session.restored("line", NOW)
    told = [session.received("line", json.dumps(frame).encode(), NOW + at) for at in (1, 2)]
    assert not [record for record in told[1] if isinstance(record, FeedStatus)]
    return told[0]


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
        ("bitfinex", {"event": "error", "code": 10301, "msg": "subscribe: dup", "channel": "trades", "symbol": "tBTCUSD"}),
    ],
)
def test_a_refusal_that_names_no_stream_to_be_down_is_a_dead_letter_alone(venue: str, frame: dict[str, object]) -> None:
    (letter,) = refuse(venue, frame)
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "venue_error"
