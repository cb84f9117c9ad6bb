"""Frames of OKX, as recorded on 2022-05-13, and what each becomes."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, ListeningVenue, Parsed, Subscription
from ingest.feeds._okx_frames import index_of
from ingest.recorded import Answer
from ingest.recordings import read_recordings
from market.decimals import AMOUNT_SCALE, ONE
from market.depth import BookState, DepthKind
from market.errors import DataValidationError, SubscriptionError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import Trade
from tests.gateway_parts import make_quote
from tests.ingest_parts import ALL_DATA

VENUE = feeds.load("okx")
WHOLE_LIST = ALL_DATA / "cryptofeed" / "OKX-20220513" / "OKX.0.gz"
AT = 1_652_459_226_000_000
TRADE = {"instId": "BTC-USDT", "tradeId": "338476307", "px": "30228.6", "sz": "0.00119", "side": "sell", "ts": "1652459225360"}
TICKER = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "last": "30236",
    "lastSz": "0.0002",
    "askPx": "30228.7",
    "askSz": "1.55896972",
    "bidPx": "30228.6",
    "bidSz": "0.23393",
    "open24h": "29700.4",
    "high24h": "31073",
    "low24h": "28020.3",
    "sodUtc0": "29028.8",
    "sodUtc8": "30337.7",
    "volCcy24h": "525802090.62716611",
    "vol24h": "17602.13085371",
    "ts": "1652459224956",
}
SWAP_TICKER = {
    "instType": "SWAP",
    "instId": "UNI-USD-SWAP",
    "last": "5.123",
    "lastSz": "100",
    "askPx": "5.142",
    "askSz": "25",
    "bidPx": "5.134",
    "bidSz": "96",
    "open24h": "4.799",
    "high24h": "5.458",
    "low24h": "4.537",
    "sodUtc0": "4.654",
    "sodUtc8": "5.204",
    "volCcy24h": "577730.7823",
    "vol24h": "289425",
    "ts": "1652459223143",
}
BOOK: dict[str, Any] = {"asks": [["30249.4", "0", "0", "0"], ["30261", "4", "0", "1"]], "bids": [["30182.6", "452", "0", "1"]]}

SUMMED = BOOK | {"ts": "1652459225464", "checksum": -914047754}


def frame(channel: str, *data: Any, inst: str = "BTC-USDT", **more: Any) -> bytes:
    return json.dumps({"arg": {"channel": channel, "instId": inst}, **more, "data": data}).encode()


def parse(data: bytes) -> Parsed:
    return VENUE.parser(None, {}, 5_000_000).parse(data, AT)


def only(data: bytes) -> Any:
    (record,) = parse(data).records
    return record


def refusal(data: bytes) -> tuple[str, str | None]:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    return caught.value.reason, caught.value.field


def test_trade_has_the_takers_side() -> None:
    trade = only(frame("trades", TRADE))
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.trade_id, trade.sequence, trade.side) == ("okx:BTC-USDT", "338476307", 338476307, "sell")
    assert (trade.price, trade.size, trade.exchange_time) == (30228_600000000000, 1190000000, 1_652_459_225_360_000)
    assert (trade.first_trade_id, trade.last_trade_id, trade.trade_count) == ("338476307", "338476307", 1)


def test_trades_that_the_venue_sums_up_keep_their_ids() -> None:
    trade = only(frame("trades", TRADE | {"count": "3"}))
    assert (trade.trade_id, trade.first_trade_id, trade.last_trade_id, trade.trade_count) == (
        *("338476307", "338476305", "338476307"),
        3,
    )


@pytest.mark.parametrize(
    ("symbol", "instrument"),
    [("BTC-USDT", "okx:BTC-USDT"), ("UNI-USD-SWAP", "okx:UNI-USD-PERP"), ("BTC-USD-220527", "okx:BTC-USD-220527")],
)
def test_symbol_says_pair_swap_or_future(symbol: str, instrument: str) -> None:
    assert only(frame("trades", TRADE | {"instId": symbol}, inst=symbol)).instrument == instrument


def test_ticker_of_a_pair_has_volume_and_amount() -> None:
    quote = only(frame("tickers", TICKER))
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask_size, quote.last) == (30228_600000000000, 1_558969720000, 30236 * ONE)
    assert (quote.volume_24h, quote.amount_24h) == (17602_130853710000, 52580209062716611 * 10 ** (AMOUNT_SCALE - 8))
    assert (quote.change_24h, quote.change_percent_24h, quote.sequence) == (None, None, None)


def test_ticker_of_a_swap_has_the_volume_in_its_currency_and_no_amount() -> None:
    quote = only(frame("tickers", SWAP_TICKER, inst="UNI-USD-SWAP"))
    assert (quote.volume_24h, quote.amount_24h) == (577730_782300000000, None)


def test_book_message_keeps_the_texts_for_its_checksum() -> None:
    depth = only(frame("books", SUMMED, action="update"))
    assert (depth.kind, depth.checksum, depth.state) == (DepthKind.DELTA, -914047754, BookState.SYNCING)
    assert [level.text for level in (*depth.bids, *depth.asks)] == ["30182.6:452", "30249.4:0", "30261:4"]
    assert (depth.first_sequence, depth.last_sequence, depth.previous_sequence) == (None, None, None)
    parser = VENUE.parser(None, {}, 0)
    assert isinstance(parser, BookParser)
    assert parser.book_rules("books").checked_levels == 25


def test_book_message_of_today_names_the_one_before_it_and_has_no_checksum() -> None:
    numbers = {"seqId": 123457, "prevSeqId": 123456, "checksum": 0}
    depth = only(frame("books", SUMMED | numbers, action="update"))
    assert (depth.last_sequence, depth.previous_sequence, depth.checksum) == (123457, 123456, None)
    snapshot = only(frame("books", SUMMED | numbers | {"prevSeqId": -1}, action="snapshot"))
    assert (snapshot.last_sequence, snapshot.previous_sequence) == (123457, None)
    assert only(frame("books", SUMMED | {"checksum": 0}, action="update")).checksum == 0


@pytest.mark.parametrize(("row", "amount", "closed"), [(("7",), None, False), (("7", "8.5", "1"), 85 * 10**23, True)])
def test_candle_with_and_without_its_amount(row: tuple[str, ...], amount: int | None, closed: bool) -> None:
    kline = only(frame("candle1H", ["1652457600000", "2", "4", "1", "3", "5", *row]))
    assert isinstance(kline, Kline)
    assert (kline.interval, kline.open, kline.high, kline.low, kline.close) == ("1h", 2 * ONE, 4 * ONE, ONE, 3 * ONE)
    assert (kline.volume, kline.amount, kline.is_closed, kline.trade_count) == (5 * ONE, amount, closed, None)


@pytest.mark.parametrize("channel", ["books5", "bbo-tbt", "price-limit", "candle1D"])
def test_known_channel_that_is_not_carried_is_ignored_by_name(channel: str) -> None:
    assert parse(frame(channel)) == Parsed(channel, ())


# as documented ("Funding rate channel", "Open interest channel", "Mark price channel")
FUNDING = {
    "formulaType": "noRate",
    "fundingRate": "0.0001875391284828",
    "fundingTime": "1652486400000",
    "instId": "UNI-USD-SWAP",
    "instType": "SWAP",
    "method": "next_period",
    "maxFundingRate": "0.00375",
    "minFundingRate": "-0.00375",
    "nextFundingRate": "",
    "nextFundingTime": "1652515200000",
    "premium": "0.0001233824646391",
    "ts": "1652459223000",
}
MARK = {"instType": "SWAP", "instId": "UNI-USD-SWAP", "markPx": "5.0123", "ts": "1652421000123"}
OPEN_INTEREST = {
    "instId": "UNI-USD-SWAP",
    "instType": "SWAP",
    "oi": "2216113",
    "oiCcy": "22161.13",
    "oiUsd": "1939251795.54",
    "ts": "1652459223000",
}


def test_funding_rate_with_more_places_than_records_have_is_rounded_half_even() -> None:
    funding = only(frame("funding-rate", FUNDING, inst="UNI-USD-SWAP"))
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.next_funding_time, funding.interval_seconds) == (
        *(187539128, 1_652_486_400_000_000),
        28_800,
    )
    assert (funding.mark_price, funding.index_price, funding.exchange_time) == (None, None, 1_652_459_223_000_000)
    for text, rate in (("0.0000000000005", 0), ("0.0000000000015", 2), ("-0.0000000000025", -2), ("-0.0001", -(10**8))):
        assert only(frame("funding-rate", FUNDING | {"fundingRate": text}, inst="UNI-USD-SWAP")).rate == rate
    assert refusal(frame("funding-rate", FUNDING | {"fundingRate": "1e-40"}, inst="UNI-USD-SWAP")) == ("too_precise", "rate")


def test_mark_price_is_a_quote_of_nothing_else() -> None:
    told = only(frame("mark-price", MARK, inst="UNI-USD-SWAP"))
    wanted = {"channel": "mark-price", "instrument": "okx:UNI-USD-PERP", "mark_price": 50123 * ONE // 10_000}
    assert told == make_quote(at=told.received_at, exchange_time=1_652_421_000_123_000, **wanted)
    assert refusal(frame("mark-price", MARK | {"markPx": "x"}, inst="UNI-USD-SWAP")) == ("not_a_decimal", "mark_price")
    assert refusal(frame("mark-price", MARK, inst="BTC-USD-SWAP")) == ("symbol_mismatch", "instId")


INDEX = {"instId": "BTC-USDT", "idxPx": "30230.1", "high24h": "31000", "low24h": "28000", "open24h": "29000"}
INDEX |= {"sodUtc0": "1", "sodUtc8": "1", "ts": "1652421000123"}


def with_symbols(contracts: list[str]) -> list[tuple[str, str]]:
    assert isinstance(VENUE, ListeningVenue)
    return [(VENUE.symbol_of(each), each) for each in contracts]


def test_index_is_told_of_the_contracts_that_asked_for_it() -> None:
    contracts = ["okx:BTC-USDT-PERP", "okx:BTC-USDT-220527", "okx:ETH-USDT-PERP"]
    listings = {"index": dict(with_symbols(contracts)), "v5": {"BTC-USDT-220624": "okx:BTC-USDT-220624"}}
    parsed = VENUE.parser("index", listings, 5_000_000).parse(frame("index-tickers", INDEX), AT)
    wanted = {"channel": "index-tickers", "index_price": 302_301 * ONE // 10, "exchange_time": 1_652_421_000_123_000}
    assert parsed == Parsed("index-tickers", [make_quote(at=AT, instrument=each, **wanted) for each in contracts[:2]])
    assert only(frame("index-tickers", INDEX)).instrument == "okx:BTC-USDT-PERP", "whose contracts nobody knows"
    assert refusal(frame("index-tickers", INDEX | {"idxPx": "x"})) == ("not_a_decimal", "index_price")
    assert refusal(frame("index-tickers", INDEX, inst="ETH-USDT")) == ("symbol_mismatch", "instId")
    assert refusal(frame("index-tickers", INDEX | {"instId": "BTC-USDT-SWAP"}, inst="BTC-USDT-SWAP"))[0] == "unknown_symbol"


def test_index_is_asked_for_once_on_connections_of_its_own_and_stays_for_the_others() -> None:
    assert isinstance(VENUE, ListeningVenue)
    streams = [Subscription(f"okx:BTC-USDT-{each}", "index-tickers") for each in ("PERP", "220527")]
    VENUE.check(streams)
    (asked,) = VENUE.requests(streams, 1, AT, subscribe=True)
    assert json.loads(asked.message)["args"] == [{"channel": "index-tickers", "instId": "BTC-USDT"}]
    assert VENUE.requests(streams[:1], 1, AT, subscribe=False) == []
    assert VENUE.route(streams[0], None) != VENUE.route(streams[0]._replace(channel="mark-price"), None)
    assert VENUE.route(streams[0], None).url == VENUE.route(streams[0]._replace(channel="mark-price"), None).url


def test_underlyings_that_were_listed_are_the_pairs_that_contracts_are_named_by() -> None:
    """`uly` is the index of a contract (docs: "Get instruments")."""
    if not WHOLE_LIST.exists():
        pytest.skip("the whole recordings are not at hand (TAPELINE_DATA)")
    answers = [json.loads(item.body)["data"] for item in read_recordings([WHOLE_LIST]) if isinstance(item, Answer)]
    contracts = [row for rows in answers for row in rows if row["instType"] in ("SWAP", "FUTURES")]
    assert len(contracts) > 1_000
    assert all(index_of(f"okx:{row['instId']}") == row["uly"] for row in contracts)


def test_open_interest_is_in_contracts_and_in_dollars_where_told() -> None:
    told = only(frame("open-interest", OPEN_INTEREST, inst="UNI-USD-SWAP"))
    assert isinstance(told, OpenInterest)
    assert (told.open_interest, told.notional) == (2_216_113 * ONE, 193925179554 * 10 ** (AMOUNT_SCALE - 2))
    older = {name: value for name, value in OPEN_INTEREST.items() if name != "oiUsd"}
    assert only(frame("open-interest", older, inst="UNI-USD-SWAP")).notional is None


@pytest.mark.parametrize(
    ("instrument", "channel"),
    [
        ("okx:BTC-USDT", "funding-rate"),
        ("okx:BTC-USD-260925", "funding-rate"),
        ("okx:BTC-USDT", "open-interest"),
        ("okx:BTC-USDT", "mark-price"),
        ("okx:BTC-USDT", "index-tickers"),
    ],
)
def test_what_is_told_of_contracts_alone_cannot_be_subscribed_of_others(instrument: str, channel: str) -> None:
    with pytest.raises(SubscriptionError, match=f"{channel} tells .* and {instrument} is none"):
        VENUE.check([Subscription(instrument, channel)])
    VENUE.check([Subscription("okx:BTC-USDT-PERP", channel)])


def test_answers_are_replies() -> None:
    assert parse(b'{"event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"}}') == Parsed("reply", ())
    assert parse(b"pong") == Parsed("pong", ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (b'{"arg":{"channel":"trades","instId":"BTC-USDT"}}', "missing_field", "data"),
        (frame("Rumours"), "unknown_stream", "channel"),
        (frame("trades", TRADE | {"side": "both"}), "unknown_side", "side"),
        (frame("trades", TRADE | {"instId": "ETH-USDT"}), "symbol_mismatch", "instId"),
        (frame("trades", TRADE | {"tradeId": "x"}), "wrong_type", "trade_id"),
        (frame("trades", TRADE | {"ts": "1652459225.36.1"}), "bad_time", "exchange_time"),
        (frame("trades", TRADE | {"px": "0"}), "not_positive", "price"),
        (frame("trades", TRADE, inst="BTC-USD-220514-22000-C"), "unknown_symbol", "symbol"),
        (frame("books", SUMMED), "unknown_action", "action"),
        (frame("books", BOOK | {"ts": "1652459225464"}, action="update"), "missing_field", "checksum"),
        (
            frame("books", {**BOOK, "asks": [["1"]], "ts": "1652459225464", "checksum": 1}, action="update"),
            "missing_field",
            "asks",
        ),
        (frame("candle1m", ["1652457600000", "2", "4", "1", "3", "5"]), "missing_field", "data"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    assert refusal(data) == (reason, field)
