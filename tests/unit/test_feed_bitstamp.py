"""Frames of Bitstamp, as recorded on 2022-01-05, and what each becomes."""

import json
from contextlib import suppress
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, Parsed, Parser
from ingest.feeds.bitstamp import VENUE
from ingest.playback import Playback
from ingest.recorded import Frame
from ingest.recordings import read_recordings
from market.book_rules import by_range
from market.dead_letter import DeadLetter
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind
from market.errors import DataValidationError
from market.trade import Trade
from tests.ingest_parts import played
from tests.venue_data import BITSTAMP

AT = 1_641_343_721_223_592
TRADE = {
    "id": 216000505,
    "timestamp": "1641343721",
    "amount": 2.108,
    "amount_str": "2.10800000",
    "price": 3800.53,
    "price_str": "3800.53",
    "type": 1,
    "microtimestamp": "1641343721243000",
    "buy_order_id": 1443875822977028,
    "sell_order_id": 1443875826016256,
}
BOOK = {
    "timestamp": "1641343691",
    "microtimestamp": "1641343691406478",
    "bids": [["3800.71", "1.76200000"], ["3799.64", "0.00000000"]],
    "asks": [["3805.16", "0.00000000"]],
}
REST = "https://www.bitstamp.net/api/v2/"


def frame(channel: str, data: Any, event: str = "data") -> bytes:
    return json.dumps({"data": data, "channel": channel, "event": event}).encode()


def diff(micros: int, channel: str = "diff_order_book_ethusd", **changes: Any) -> bytes:
    return frame(channel, BOOK | {"microtimestamp": str(micros)} | changes)


def parser() -> Parser:
    return feeds.load("bitstamp").parser("spot", {}, 5_000_000)


def parse(data: bytes) -> Parsed:
    return parser().parse(data, AT)


def only(data: bytes, reader: Parser | None = None) -> Any:
    (record,) = (reader or parser()).parse(data, AT).records
    return record


def covered(reader: Parser, micros: int, channel: str = "diff_order_book_ethusd") -> tuple[int, int]:
    depth = only(diff(micros, channel), reader)
    return depth.first_sequence - BASE, depth.last_sequence - BASE


BASE = 1_641_343_000_000_000


def test_trade_is_read_from_the_texts_beside_the_numbers() -> None:
    trade = only(frame("live_trades_ethusd", TRADE | {"amount": None, "price": []}, "trade"))
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.trade_id, trade.sequence, trade.side) == (
        "bitstamp:ETH-USD",
        "216000505",
        216000505,
        "sell",
    )
    assert (trade.price, trade.size, trade.exchange_time) == (3800_530000000000, 2_108_000_000_000, 1_641_343_721_243_000)


def test_recorded_side_is_that_of_the_later_order() -> None:
    """Order ids rise, and the taker's order is the one that came to the other."""
    told = [json.loads(item.data) for item in read_recordings(BITSTAMP) if isinstance(item, Frame)]
    trades = [message["data"] for message in told if message["event"] == "trade"]
    later = [trade["sell_order_id"] > trade["buy_order_id"] for trade in trades]
    sides = [only(frame("live_trades_ethusd", trade, "trade")).side == "sell" for trade in trades]
    assert sides == later
    assert len(trades) == 10
    assert {True, False} == set(sides)


def test_diff_covers_what_came_since_the_diff_before_it() -> None:
    reader = parser()
    assert covered(reader, BASE + 50) == (50, 50)
    assert covered(reader, BASE + 70) == (51, 70)
    assert covered(reader, BASE + 80, "diff_order_book_xrpeur") == (80, 80)
    assert covered(reader, BASE + 90) == (71, 90)
    assert isinstance(reader, BookParser)
    assert (reader.book_rules("").step, reader.book_rules("").fetched) == (by_range, True)


@pytest.mark.parametrize(
    "between",
    [
        frame("diff_order_book_ethusd", {}, "bts:subscription_succeeded"),
        b"{",
        diff(BASE + 60, bids=[["x", "1"]]),
        diff(BASE + 60, "diff_order_book_xrpeur", bids=[["x", "1"]]),
    ],
    ids=["subscribed again", "unreadable", "refused", "another refused"],
)
def test_diff_after_one_that_may_be_missing_covers_itself_alone(between: bytes) -> None:
    reader = parser()
    covered(reader, BASE + 50)
    with suppress(DataValidationError):
        reader.parse(between, AT)
    assert covered(reader, BASE + 70) == (70, 70)


def test_book_whose_diff_was_refused_is_not_trusted_any_more() -> None:
    items = list(read_recordings(BITSTAMP))
    told = [number for number, item in enumerate(items) if isinstance(item, Frame) and b"diff_order_book_batbtc" in item.data]
    damaged = items[told[60]]
    assert isinstance(damaged, Frame)
    items[told[60]] = damaged._replace(data=damaged.data.replace(b'"bids":', b'"bets":'))
    records = played(items, playback=Playback(feeds.load("bitstamp")))
    (letter,) = [record for record in records if isinstance(record, DeadLetter)]
    assert (letter.reason, letter.field) == ("missing_field", "bids")
    last = {record.instrument: record.state for record in records if isinstance(record, Depth)}
    assert last["bitstamp:BAT-BTC"] is BookState.GAP


def test_order_book_of_a_request_is_of_the_pair_asked_for() -> None:
    parsed = VENUE.answered(f"{REST}order_book/ethusd", json.dumps(BOOK).encode(), AT, {}, 0)
    assert parsed is not None
    (depth,) = parsed.records
    assert isinstance(depth, Depth)
    assert (depth.instrument, depth.kind, depth.last_sequence) == (
        "bitstamp:ETH-USD",
        DepthKind.SNAPSHOT,
        1_641_343_691_406_478,
    )
    assert [level[:2] for level in depth.bids] == [(3800_710000000000, 1_762_000_000_000), (3799_640000000000, 0)]
    assert VENUE.answered(f"{REST}ticker/ethusd", b"{}", AT, {}, 0) is None
    assert VENUE.answered("https://example.com/api/v2/order_book/ethusd", b"{}", AT, {}, 0) is None
    with pytest.raises(DataValidationError, match="bids"):
        VENUE.answered(f"{REST}order_book/ethusd", b'{"microtimestamp":"1"}', AT, {}, 0)


def test_listing_tells_base_and_quote_that_the_symbol_does_not() -> None:
    pairs = [
        {"name": "BTC/USD", "url_symbol": "btcusd"},
        {"name": "ABC/XUSD", "url_symbol": "abcxusd"},
        {"name": "?", "url_symbol": "q"},
    ]
    listed = VENUE.listed(f"{REST}trading-pairs-info/", json.dumps(pairs).encode())
    assert listed == {"btcusd": "bitstamp:BTC-USD", "abcxusd": "bitstamp:ABC-XUSD"}
    reader = feeds.load("bitstamp").parser("spot", {"spot": listed}, 5_000_000)
    assert only(frame("live_trades_abcxusd", TRADE, "trade"), reader).instrument == "bitstamp:ABC-XUSD"
    assert only(frame("live_trades_abcxusd", TRADE, "trade")).instrument == "bitstamp:ABCX-USD"
    assert only(frame("live_trades_usdtusd", TRADE, "trade")).size == 2_108 * ONE // 1000


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (frame("live_trades_sgbeur", {}, "bts:subscription_succeeded"), "reply"),
        (frame("live_trades_sgbeur", {}, "bts:unsubscription_succeeded"), "reply"),
        (frame("", {"status": "success"}, "bts:heartbeat"), "bts:heartbeat"),
        (frame("", "", "bts:request_reconnect"), "bts:request_reconnect"),
        (frame("order_book_btcusd", {}), "order_book"),
        (frame("live_orders_btcusd", {}, "order_created"), "live_orders"),
    ],
)
def test_what_is_no_data_has_a_name(data: bytes, name: str) -> None:
    assert parse(data) == Parsed(name, ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (frame("", {}, "rumours"), "unknown_stream", "event"),
        (frame("rumours_btcusd", {}), "unknown_stream", "channel"),
        (b'{"event":"data","channel":"diff_order_book_btcusd"}', "missing_field", "data"),
        (frame("live_trades_btcxyz", TRADE, "trade"), "unknown_symbol", "symbol"),
        (frame("live_trades_btcusd", TRADE | {"type": 2}, "trade"), "unknown_side", "type"),
        (frame("live_trades_btcusd", TRADE | {"price_str": "0"}, "trade"), "not_positive", "price"),
        (frame("live_trades_btcusd", TRADE | {"microtimestamp": "soon"}, "trade"), "bad_time", "exchange_time"),
        (diff(BASE, asks=[["1"]]), "wrong_type", "asks[0]"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert (caught.value.reason, caught.value.field) == (reason, field)
