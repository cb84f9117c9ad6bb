"""Frames of Coinbase Advanced Trade as documented, and what each becomes; none was recorded."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, Parsed, Parser, Subscription
from ingest.feeds.coinbase_advanced import VENUE
from ingest.rest_venue import DefiningVenue, HistoricalVenue, Place, RefusedRow
from ingest.session import Session
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind
from market.errors import DataValidationError, SubscriptionError
from market.feed_status import FeedState, FeedStatus
from market.instrument_definition import InstrumentDefinition
from market.quote import Kline, Quote
from market.trade import GapMark, Trade
from schemas.records import Record

SECOND = 1_000_000
AT = 1_675_975_500 * SECOND
TIME = "2023-02-09T20:32:50.714964855Z"
MICROS = 1_675_974_770_714_964
FIVE_MINUTES = 300 * SECOND
BOOKS, TRADES = Subscription("coinbase_advanced:BTC-USD", "level2"), Subscription("coinbase_advanced:BTC-USD", "market_trades")


def frame(channel: str, number: int | None, *events: dict[str, Any], **changes: Any) -> bytes:
    envelope: dict[str, Any] = {"channel": channel, "client_id": "", "timestamp": TIME, "sequence_num": number}
    return json.dumps(envelope | {"events": events} | changes).encode()


def trade(number: int, product: str = "BTC-USD", **changes: Any) -> dict[str, Any]:
    told = {"trade_id": str(number), "product_id": product, "price": "1260.01", "size": "0.3", "side": "BUY"}
    return told | {"time": f"2023-02-09T20:19:35.{number:03}Z"} | changes


def trades(number: int | None, *rows: dict[str, Any], kind: str = "update") -> bytes:
    return frame("market_trades", number, {"type": kind, "trades": rows})


def level(side: str, price: str, size: str) -> dict[str, str]:
    return {"side": side, "event_time": "1970-01-01T00:00:00Z", "price_level": price, "new_quantity": size}


def book(number: int | None, kind: str = "update", product: str = "BTC-USD", *more: dict[str, Any]) -> bytes:
    rows = [level("bid", "21921.73", "0.06317902"), level("offer", "21921.8", "0.02")]
    return frame("l2_data", number, {"type": kind, "product_id": product, "updates": rows}, *more)


def candle(minutes: int, product: str = "BTC-USD", **changes: Any) -> dict[str, Any]:
    told = {"start": str(1_675_974_600 + 60 * minutes), "high": "12.5", "low": "9", "open": "10", "close": "12"}
    return told | {"volume": "3.5", "product_id": product} | changes


TICKER = {
    "type": "ticker",
    "product_id": "BTC-USD",
    "price": "21932.98",
    "volume_24_h": "16038.28770938",
    "low_24_h": "21835.29",
    "high_24_h": "23011.18",
    "low_52_w": "15460",
    "high_52_w": "48240",
    "price_percent_chg_24_h": "-4.15775596190603",
    "best_bid": "21931.98",
    "best_bid_quantity": "8000.21",
    "best_ask": "21933.98",
    "best_ask_quantity": "8038.07770938",
}


def parser() -> Parser:
    return feeds.load("coinbase_advanced").parser("advanced", {}, 5_000_000)


def parse(data: bytes) -> Parsed:
    return parser().parse(data, AT)


def only(data: bytes) -> Any:
    (record,) = parse(data).records
    return record


def test_trades_come_oldest_first_and_without_a_side_that_nobody_documents() -> None:
    parsed = parse(trades(3, trade(12), trade(11, side="SELL"), trade(4, "ETH-USD")))
    assert parsed.name == "market_trades"
    told = [record for record in parsed.records if isinstance(record, Trade)]
    assert [(one.instrument, one.trade_id, one.side) for one in told] == [
        ("coinbase_advanced:ETH-USD", "4", None),
        ("coinbase_advanced:BTC-USD", "11", None),
        ("coinbase_advanced:BTC-USD", "12", None),
    ]
    assert (told[1].price, told[1].size, told[1].sequence) == (1_260_010_000_000_000, 300_000_000_000, 11)
    assert told[1].exchange_time == 1_675_973_975_011_000


def test_ticker_has_the_best_prices_and_the_last_day() -> None:
    quote = only(frame("ticker", 7, {"type": "snapshot", "tickers": [TICKER]}))
    assert isinstance(quote, Quote)
    assert (quote.channel, quote.sequence, quote.exchange_time) == ("ticker", 7, MICROS)
    assert (quote.bid, quote.ask, quote.last) == (21_931_980_000_000_000, 21_933_980_000_000_000, 21_932_980_000_000_000)
    assert (quote.bid_size, quote.ask_size) == (8_000_210_000_000_000, 8_038_077_709_380_000)
    assert (quote.volume_24h, quote.high_24h) == (16_038_287_709_380_000, 23_011_180_000_000_000)
    assert quote.change_percent_24h is None, "more places than a record has"


def test_batched_ticker_has_no_best_prices() -> None:
    told = {name: value for name, value in TICKER.items() if "best" not in name} | {"price_percent_chg_24_h": "-4.15"}
    quote = only(frame("ticker_batch", 7, {"type": "update", "tickers": [told]}))
    assert (quote.channel, quote.bid, quote.ask, quote.last) == ("ticker_batch", None, None, 21_932_980_000_000_000)
    assert quote.change_percent_24h == -4_150_000_000_000


def test_candle_is_closed_once_another_one_of_its_product_follows() -> None:
    event = {"type": "snapshot", "candles": [candle(10), candle(5), candle(0), candle(5, "ETH-USD")]}
    parsed = parse(frame("candles", 0, event))
    klines = [record for record in parsed.records if isinstance(record, Kline)]
    found = {(one.instrument.rpartition(":")[2], one.open_time // SECOND - 1_675_974_600): one.is_closed for one in klines}
    assert found == {("BTC-USD", 0): True, ("BTC-USD", 300): True, ("BTC-USD", 600): False, ("ETH-USD", 300): False}
    assert [one.open_time for one in klines] == sorted(one.open_time for one in klines)
    assert (klines[0].interval, klines[0].open, klines[0].volume) == ("5m", 10 * ONE, 3_500_000_000_000)
    assert parsed.name == "candles"


def test_book_is_told_under_the_name_that_is_subscribed_to() -> None:
    parsed = parse(book(0, "snapshot"))
    (depth,) = parsed.records
    assert isinstance(depth, Depth)
    assert (parsed.name, depth.kind, depth.last_sequence, depth.previous_sequence) == ("level2", DepthKind.SNAPSHOT, 0, None)
    assert depth.exchange_time == MICROS, "the first update of a level may be of 1970"
    assert [one[:2] for one in depth.asks] == [(21_921_800_000_000_000, 20_000_000_000)]
    assert isinstance(parser(), BookParser)


def session() -> Session:
    told = Session("coinbase_advanced", VENUE.heartbeats, once=True)
    told.add_line("line", parser())
    told.connecting("line", [BOOKS, TRADES], AT, "connecting")
    told.restored("line", AT)
    return told


def received(told: Session, *frames: bytes) -> list[Record]:
    return [record for data in frames for record in told.received("line", data, AT)]


def states(records: list[Record]) -> list[BookState]:
    return [record.state for record in records if isinstance(record, Depth)]


def test_book_lives_while_the_numbers_of_the_connection_follow_each_other() -> None:
    more = {"type": "update", "product_id": "BTC-USD", "updates": [level("bid", "1", "0")]}
    told = received(
        session(),
        frame("subscriptions", 0, {"subscriptions": {"level2": ["BTC-USD"]}}),
        book(1, "snapshot"),
        trades(2, trade(1)),
        book(3, "update", "BTC-USD", more),
        frame("heartbeats", 4, {"current_time": "x", "heartbeat_counter": 1}),
        book(5),
        book(5),
    )
    assert states(told) == [BookState.LIVE] * 5


@pytest.mark.parametrize("missed_before", [book(3), trades(3, trade(3)), frame("heartbeats", 3, {"heartbeat_counter": 2})])
def test_missed_frame_shows_in_the_books_and_leaves_trades_in_doubt(missed_before: bytes) -> None:
    feed = session()
    received(feed, book(0, "snapshot"), trades(1, trade(1)))
    told = received(feed, missed_before, book(4), trades(5, trade(5)))
    assert states(told) == [BookState.GAP] * len(states(told))
    assert states(told)
    assert [(one.instrument, one.healed) for one in told if isinstance(one, GapMark)] == [(TRADES.instrument, False)]
    told_of = {(one.channel, one.state) for one in told if isinstance(one, FeedStatus)}
    assert {("level2", FeedState.GAP), ("market_trades", FeedState.GAP)} <= told_of
    assert [followed.stream for followed in feed.unsynced()] == [BOOKS], "it is subscribed to again"
    assert states(received(feed, book(6, "snapshot"), book(7))) == [BookState.LIVE, BookState.LIVE]


def test_frame_that_cannot_be_read_is_one_that_the_book_lacks() -> None:
    feed = session()
    received(feed, book(0, "snapshot"))
    bad = {"type": "update", "product_id": "BTC-USD", "updates": [level("bid", "x", "1")]}
    assert not states(received(feed, frame("l2_data", 1, bad)))
    assert states(received(feed, book(2))) == [BookState.GAP]


def test_numbers_begin_again_with_a_connection() -> None:
    feed = session()
    received(feed, book(0, "snapshot"), book(1), trades(2, trade(1)))
    feed.lost("line", AT, "closed")
    feed.restored("line", AT + SECOND)
    told = received(feed, book(0, "snapshot"), book(1), trades(2, trade(1)))
    assert states(told) == [BookState.LIVE, BookState.LIVE]
    assert not [one for one in told if isinstance(one, GapMark)]


def test_trades_that_a_new_subscription_tells_again_are_told_once() -> None:
    feed = session()
    received(feed, trades(0, trade(1), trade(2)))
    told = received(feed, trades(1, trade(3), trade(2), trade(1), kind="snapshot"))
    assert [one.trade_id for one in told if isinstance(one, Trade)] == ["3"]


@pytest.mark.parametrize("kind", ["heartbeats", "status"])
def test_known_channel_that_is_not_carried_is_ignored_by_name(kind: str) -> None:
    assert parse(frame(kind, 0, {"any": "thing"})) == Parsed(kind, ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (frame("rumours", 0), "unknown_stream", "channel"),
        (trades(0, trade(1, trade_id="x")), "wrong_type", "trade_id"),
        (trades(0, trade(1, price="0")), "not_positive", "price"),
        (trades(0, trade(1, time="2023-02-09 20:19:35")), "bad_time", "exchange_time"),
        (trades(0, trade(1, product_id="BIP-20DEC30-CDE")), "unknown_symbol", "product_id"),
        (trades(-1, trade(1)), "wrong_type", None),
        (frame("ticker", 0, {"tickers": [TICKER | {"best_bid": "x"}]}), "not_a_decimal", "bid"),
        (frame("ticker", 0, {"tickers": [TICKER]}, timestamp="soon"), "bad_time", "exchange_time"),
        (frame("candles", 0, {"candles": [candle(0, start="soon")]}), "bad_time", "open_time"),
        (book(0, "rumour"), "unknown_action", "type"),
        (
            frame("l2_data", 0, {"type": "update", "product_id": "BTC-USD", "updates": [level("both", "1", "1")]}),
            "unknown_side",
            "side",
        ),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert caught.value.reason == reason
    assert field is None or caught.value.field == field


def test_pairs_in_usdc_are_those_in_usd_but_for_two() -> None:
    VENUE.check([Subscription("coinbase_advanced:USDT-USDC", "ticker")])
    with pytest.raises(SubscriptionError, match="write coinbase_advanced:BTC-USD"):
        VENUE.check([Subscription("coinbase_advanced:BTC-USDC", "ticker")])


PRODUCTS = "https://api.coinbase.com/api/v3/brokerage/market/products"
PRODUCT = {
    "product_id": "BTC-USD",
    "product_type": "SPOT",
    "price_increment": "0.01",
    "base_increment": "0.00000001",
    "base_min_size": "0.00000001",
    "quote_min_size": "1",
    "status": "online",
    "trading_disabled": False,
}


def test_products_are_listed_and_defined() -> None:
    contract = PRODUCT | {"product_id": "BIP-20DEC30-CDE", "product_type": "FUTURE"}
    halted = PRODUCT | {"product_id": "ETH-USD", "trading_disabled": True}
    wrong = PRODUCT | {"product_id": "SOL-USD", "base_increment": "x"}
    answer = json.dumps({"products": [PRODUCT, contract, halted, wrong], "num_products": 4}).encode()
    assert isinstance(VENUE, DefiningVenue)
    (request,) = VENUE.definition_requests("advanced")
    assert list(VENUE.listed(request.url, answer)) == ["BTC-USD", "ETH-USD", "SOL-USD"]
    one, other, refused = VENUE.definitions(request.url, answer, AT)
    assert isinstance(one, InstrumentDefinition)
    assert (one.instrument, one.tick_size, one.lot_size, one.min_size) == (TRADES.instrument, ONE // 100, 10**4, 10**4)
    assert (one.min_notional, one.status, one.is_trading) == (10**24, "online", True)
    assert isinstance(other, InstrumentDefinition)
    assert other.is_trading is False
    assert isinstance(refused, RefusedRow)
    assert refused.error.field == "lot_size"
    assert VENUE.listed(f"{PRODUCTS}/BTC-USD/candles", answer) == {}


def test_candles_of_the_past_come_once_and_the_last_one_may_not_be_over() -> None:
    assert isinstance(VENUE, HistoricalVenue)
    begin, stream = 1_675_974_600 * SECOND, Subscription(TRADES.instrument, "candles")
    end = begin + 400 * FIVE_MINUTES
    place: Place | None = Place(begin)
    found: list[int] = []
    while place is not None:
        request = VENUE.history_request(stream, place, end)
        assert request is not None
        query = dict(part.split("=") for part in request.url.partition("?")[2].split("&"))
        first, last = int(query["start"]), int(query["end"])
        rows = [candle(0, start=str(each)) for each in range(first - first % 300, last + 1, 300) if each >= first]
        assert len(rows) <= int(query["limit"])
        answer = json.dumps({"candles": rows[::-1]}).encode()
        parsed = VENUE.answered(request.url, answer, end + 10 * SECOND, {}, 5_000_000)
        assert parsed is not None
        page = VENUE.history_page(stream, place, end, parsed)
        found += [record.open_time for record in page.records if isinstance(record, Kline)]
        place = page.next
    assert found == [begin + each * FIVE_MINUTES for each in range(400)]
    assert page.is_whole
    assert request is not None
    late = VENUE.answered(request.url, answer, end, {}, 5_000_000)
    assert late is not None
    assert not VENUE.history_page(stream, Place(begin + 350 * FIVE_MINUTES), end, late).is_whole, "clocks may differ"
