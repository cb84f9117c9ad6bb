"""Frames of Kraken's v1 streams, as recorded on 2021-04-17, its REST answers, and what each becomes."""

import json
from typing import Any

import pytest

from ingest.feed import BookParser, Parsed, Parser, Subscription
from ingest.feeds.kraken import VENUE
from market.decimals import ONE
from market.depth import DepthKind
from market.errors import DataValidationError, SubscriptionError
from market.quote import Kline, Quote
from market.trade import Trade

AT = 1_618_678_150_000_000
ROWS = [
    ["354.11000000", "0.89594024", "1618678142.557535", "s", "l", ""],
    ["354.55000000", "1.25690315", "1618678145.715785", "b", "m", ""],
]
TICKER = {
    "a": ["355.24000000", 27, "27.19106411"],
    "b": ["354.32000000", 6, "6.87748868"],
    "c": ["355.23000000", "1.20454360"],
    "v": ["17858.85261084", "33470.74135600"],
    "p": ["355.33503706", "349.16721624"],
    "t": [6481, 10283],
    "l": ["340.88000000", "333.87000000"],
    "h": ["368.00000000", "369.00000000"],
    "o": ["340.88000000", "335.21000000"],
}
SNAPSHOT = {
    "as": [["0.000022900", "13355.87450757", "1618678123.481570"]],
    "bs": [["0.000000030", "37013.33333333", "1614019228.140220"]],
}
ASKS = {"a": [["0.042990", "364630.28272081", "1618678145.920470"]]}
BIDS = {"b": [["0.042990", "0.00000000", "1618678145.920708"]], "c": "4105471083"}
URL = "https://api.kraken.com/0/public/"
LISTED = {"spot": {"XBTUSDT": "kraken:BTC-USDT"}}


def frame(channel: str, *payloads: Any, pair: str = "XMR/USD") -> bytes:
    return json.dumps([993, *payloads, channel, pair]).encode()


def parser() -> Parser:
    return VENUE.parser("spot", {}, 5_000_000)


def parse(data: bytes) -> Parsed:
    return parser().parse(data, AT)


def only(data: bytes) -> Any:
    (record,) = parse(data).records
    return record


def answered(kind: str, result: dict[str, Any], *, query: str = "pair=XBTUSDT", error: tuple[str, ...] = ()) -> list[Any]:
    body = json.dumps({"error": error, "result": result}).encode()
    parsed = VENUE.answered(f"{URL}{kind}?{query}", body, AT, LISTED, 5_000_000)
    assert parsed is not None
    return list(parsed.records)


def test_trade_has_the_takers_side_and_an_id_of_its_own_figures() -> None:
    trades = parse(frame("trade", ROWS)).records
    assert [(trade.side, trade.exchange_time, trade.sequence) for trade in trades if isinstance(trade, Trade)] == [
        ("sell", 1_618_678_142_557_535, 1),
        ("buy", 1_618_678_145_715_785, 2),
    ]
    assert [trade.trade_id for trade in trades if isinstance(trade, Trade)] == [
        "1618678142557535:354.11000000:0.89594024:sl:1",
        "1618678145715785:354.55000000:1.25690315:bm:1",
    ]


@pytest.mark.parametrize(("pair", "instrument"), [("XMR/USD", "kraken:XMR-USD"), ("XDG/XBT", "kraken:DOGE-BTC")])
def test_pair_has_the_names_that_all_use(pair: str, instrument: str) -> None:
    assert only(frame("trade", ROWS[:1], pair=pair)).instrument == instrument


def test_ticker_has_the_figures_of_the_last_day_not_of_today() -> None:
    quote = only(frame("ticker", TICKER))
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.last_size) == (354_320000000000, 6_877488680000, 1_204543600000)
    assert (quote.open_24h, quote.high_24h, quote.low_24h) == (335_210000000000, 369 * ONE, 333_870000000000)
    assert (quote.volume_24h, quote.amount_24h, quote.exchange_time) == (33470_741356000000, None, None)


def test_snapshot_of_a_book_has_the_time_of_its_latest_level() -> None:
    depth = only(frame("book-1000", SNAPSHOT, pair="ADA/XBT"))
    assert (depth.kind, depth.checksum, depth.exchange_time) == (DepthKind.SNAPSHOT, None, 1_618_678_123_481_570)
    assert [level.text for level in (*depth.asks, *depth.bids)] == ["229001335587450757", "303701333333333"]


def test_delta_of_both_sides_is_one_message() -> None:
    depth = only(frame("book-1000", ASKS, BIDS, pair="SC/EUR"))
    assert (depth.kind, depth.checksum, depth.exchange_time) == (DepthKind.DELTA, 4105471083, 1_618_678_145_920_708)
    assert ([level.size for level in depth.bids], len(depth.asks)) == ([0], 1)


def test_book_has_as_many_levels_as_were_subscribed_to() -> None:
    reader = parser()
    assert isinstance(reader, BookParser)
    assert [reader.book_rules(channel).max_levels for channel in ("book-10", "book-1000", "book")] == [10, 1000, None]


@pytest.mark.parametrize("channel", ["ohlc-10080", "spread"])
def test_known_channel_that_is_not_carried_is_ignored_by_name(channel: str) -> None:
    assert parse(frame(channel, ["1"])) == Parsed(channel, ())


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"event":"heartbeat"}', "heartbeat"),
        (b'{"connectionID":18239578009413566319,"event":"systemStatus","status":"online","version":"1.8.3"}', "systemStatus"),
        (b'{"channelID":993,"event":"subscriptionStatus","pair":"XMR/USD","status":"subscribed"}', "reply"),
    ],
)
def test_what_is_no_data_has_a_name(data: bytes, name: str) -> None:
    assert parse(data) == Parsed(name, ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (b'{"event":"rumours"}', "unknown_stream", "event"),
        (b'[1,"trade","XMR/USD"]', "missing_field", "channel"),
        (frame("rumours", []), "unknown_stream", "channel"),
        (frame("trade", ROWS, pair="XMRUSD"), "unknown_symbol", "symbol"),
        (frame("trade", [ROWS[0][:5]]), "wrong_type", "[0]"),
        (frame("trade", [[*ROWS[0][:3], "x", "l", ""]]), "unknown_side", "side"),
        (frame("trade", [[*ROWS[0][:2], "soon", "s", "l", ""]]), "bad_time", "exchange_time"),
        (frame("trade", [["0", *ROWS[0][1:]]]), "not_positive", "price"),
        (frame("book-10", BIDS | {"c": "x"}), "wrong_type", "c"),
        (frame("book-10", {"a": [["1"]]}), "missing_field", "asks"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert (caught.value.reason, caught.value.field) == (reason, field)


# REST


def test_listing_names_a_pair_as_streams_and_as_answers_do() -> None:
    pairs = {"XXBTZUSD": {"altname": "XBTUSD", "wsname": "XBT/USD"}, "XBTUSD.d": {"altname": "XBTUSD.d"}}
    listed = VENUE.listed(f"{URL}AssetPairs", json.dumps({"error": [], "result": pairs}).encode())
    assert listed == dict.fromkeys(("XXBTZUSD", "XBTUSD", "XBT/USD"), "kraken:BTC-USD")


def test_trades_by_rest_are_named_as_the_streams_and_times_are_not_rounded() -> None:
    rows = [["105433.60000", "0.00027625", 1618678140.9717445, "b", "l", "", 10218208]]
    (trade,) = answered("Trades", {"XBTUSDT": rows, "last": "1618678140971744500"})
    assert (trade.instrument, trade.sequence, trade.side) == ("kraken:BTC-USDT", 10218208, "buy")
    assert trade.trade_id == "1618678140971744:105433.60000:0.00027625:bl:1"
    assert trade.exchange_time == 1_618_678_140_971_744


def test_klines_by_rest_are_closed_but_for_the_last() -> None:
    row = [1618678020, "1", "3", "1", "2", "2.5", "7.5", 4]
    first, last = answered(
        "OHLC", {"XBTUSDT": [row, [1618678080, *row[1:]]], "last": 1618678020}, query="pair=XBTUSDT&interval=1"
    )
    assert isinstance(first, Kline)
    assert (first.interval, first.open_time, first.is_closed) == ("1m", 1_618_678_020_000_000, True)
    assert (first.volume, first.trade_count, first.amount) == (7_500000000000, 4, None)
    assert not last.is_closed


@pytest.mark.parametrize(
    ("kind", "result", "query", "error", "reason"),
    [
        ("Trades", {}, "", ("EQuery:Unknown asset pair",), "venue_error"),
        ("Trades", {"last": "1"}, "", (), "missing_field"),
        ("Trades", {"ETHUSD": []}, "", (), "unknown_symbol"),
        ("OHLC", {"XBTUSDT": []}, "interval=7", (), "wrong_interval"),
        ("Trades", {"XBTUSDT": [["1", "1", "soon", "b", "l", "", 1]]}, "", (), "bad_time"),
    ],
)
def test_bad_answer_is_refused(kind: str, result: dict[str, Any], query: str, error: tuple[str, ...], reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        answered(kind, result, query=query, error=error)
    assert caught.value.reason == reason


def test_other_answers_are_not_carried() -> None:
    assert VENUE.answered(f"{URL}Time", b"{}", AT, LISTED, 0) is None
    assert VENUE.answered("https://futures.kraken.com/Trades", b"{}", AT, LISTED, 0) is None


KLINE = [
    "1542057314.748456",
    "1542057600.000000",
    "3586.70000",
    "3586.70000",
    "3586.60000",
    "3586.60000",
    "3586.68894",
    "0.03373000",
    2,
]


def test_kline_begins_its_interval_before_its_end() -> None:
    kline = parser().parse(frame("ohlc-5", KLINE, pair="XBT/USD"), 1_542_057_314_800_000).records[0]
    assert isinstance(kline, Kline)
    assert (kline.instrument, kline.interval, kline.open_time) == ("kraken:BTC-USD", "5m", 1_542_057_300_000_000)
    assert (kline.open, kline.high, kline.low, kline.close) == (35_867 * ONE // 10,) * 2 + (35_866 * ONE // 10,) * 2
    assert (kline.volume, kline.amount, kline.trade_count) == (3373 * ONE // 100_000, None, 2)
    assert (kline.exchange_time, kline.is_closed) == (1_542_057_314_748_456, False)


@pytest.mark.parametrize(("late", "is_closed"), [(4_999_999, False), (5_000_000, True)])
def test_kline_is_closed_where_its_end_has_passed_by_more_than_clocks_differ(late: int, is_closed: bool) -> None:
    kline = parser().parse(frame("ohlc-5", KLINE), 1_542_057_600_000_000 + late).records[0]
    assert isinstance(kline, Kline)
    assert kline.is_closed is is_closed


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60, 240, 1440])
def test_klines_are_subscribed_to_by_their_minutes(minutes: int) -> None:
    stream = Subscription("kraken:BTC-USD", f"ohlc-{minutes}")
    VENUE.check([stream])
    (request,) = VENUE.requests([stream], 7, AT, subscribe=False)
    assert json.loads(request.message)["subscription"] == {"name": "ohlc", "interval": minutes}


@pytest.mark.parametrize("channel", ["ohlc", "ohlc-2", "ohlc-10080", "ohlc-05"])
def test_klines_of_other_minutes_are_not_offered(channel: str) -> None:
    with pytest.raises(SubscriptionError):
        VENUE.check([Subscription("kraken:BTC-USD", channel)])


@pytest.mark.parametrize(("place", "value"), [(1, "soon"), (2, "0"), (7, "-1"), (8, -1), (8, "2")])
def test_wrong_kline_is_refused(place: int, value: object) -> None:
    wrong = [*KLINE[:place], value, *KLINE[place + 1 :]]
    with pytest.raises(DataValidationError):
        parse(frame("ohlc-5", wrong))
