"""Frames of Binance: what each kind becomes, what is left out by name, and what is refused with which reason."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feed import Parsed, Subscription
from ingest.feeds.binance import VENUE
from ingest.recorded import Answer
from ingest.recordings import read_recordings
from ingest.symbols import split_symbol
from market.decimals import ONE
from market.depth import Depth, DepthKind, Level
from market.errors import DataValidationError, SubscriptionError
from market.funding import Funding
from market.quote import Kline, Quote
from market.trade import Trade
from tests.gateway_parts import make_quote
from tests.ingest_parts import FUTURES_LISTING, NOW, SPOT_LISTING, combined, parser, trade_frame

AGG_TRADE = {
    "e": "aggTrade",
    "E": NOW // 1000,
    "s": "BTCUSDT",
    "a": 26129,
    "p": "0.01633102",
    "q": "4.70443515",
    "f": 27781,
    "l": 27783,
    "T": NOW // 1000 - 2,
    "m": True,
    "M": True,
}
BOOK_TICKER = {"u": 400900217, "s": "BTCUSDT", "b": "25.35190000", "B": "31.21", "a": "25.3652", "A": "40.66"}
TICKER = {
    "e": "24hrTicker",
    "E": NOW // 1000,
    "s": "BTCUSDT",
    "p": "-1.50",
    "P": "-2.500",
    "w": "0.0018",
    "x": "60.00",
    "c": "58.50",
    "Q": "10",
    "b": "58.49",
    "B": "4",
    "a": "58.51",
    "A": "100",
    "o": "60.00",
    "h": "61.00",
    "l": "58.00",
    "v": "10000.5",
    "q": "595000.25",
    "O": 0,
    "C": NOW // 1000,
    "F": 0,
    "L": 18150,
    "n": 18151,
}
KLINE: dict[str, Any] = {
    "t": NOW // 1000,
    "T": NOW // 1000 + 59_999,
    "s": "BTCUSDT",
    "i": "1m",
    "f": 100,
    "L": 200,
    "o": "10.0",
    "c": "12.0",
    "h": "13.0",
    "l": "9.5",
    "v": "1000",
    "n": 101,
    "x": True,
    "q": "11000.5",
    "V": "500",
    "Q": "5500",
    "B": "0",
}
MARK_PRICE = {
    "e": "markPriceUpdate",
    "E": 1790526539000,
    "s": "BTCUSDT",
    "p": "84551.10762319",
    "ap": "84551.10762319",
    "P": "84559.09090930",
    "i": "84590.87304348",
    "r": "0.00000801",
    "T": 1790553600000,
    "st": 1,
}
"""As the venue told it on 2026-09-27."""
DEPTH = {
    "e": "depthUpdate",
    "E": NOW // 1000,
    "s": "BTCUSDT",
    "U": 157,
    "u": 160,
    "b": [["61.50", "1.5"], ["61.40", "0.000"]],
    "a": [["61.60", "100"]],
}
FUTURES_DEPTH = DEPTH | {"T": NOW // 1000 - 3, "pu": 149}
BOOK = b'{"lastUpdateId":158,"bids":[["61.50","2"]],"asks":[["61.60","1"]]}'
ENDLESS = 10**4298
"""About the longest number that JSON may bring; its microseconds have more digits than Python agrees to print."""
KLINE_MESSAGE = {"e": "kline", "E": NOW // 1000 + 60_000, "s": "BTCUSDT", "k": KLINE}


def parse(frame: bytes, *, market: str | None = "spot", at: int = NOW) -> Parsed:
    return parser(market).parse(frame, at)


def only(parsed: Parsed) -> Any:
    (record,) = parsed.records
    return record


def refusal(frame: bytes, *, market: str | None = "spot", at: int = NOW) -> DataValidationError:
    with pytest.raises(DataValidationError) as caught:
        parse(frame, market=market, at=at)
    return caught.value


# what each kind becomes


def test_trade_becomes_a_trade_with_the_takers_side() -> None:
    parsed = parse(trade_frame(7, price="61837.63", m=True))
    assert parsed == Parsed(
        "trade",
        (Trade("binance:BTC-USDT", "7", 7, 61837_630000000000, 1_500000000000, "sell", NOW, NOW, "7", "7", 1),),
    )


def test_buyer_who_is_no_maker_took() -> None:
    assert only(parse(trade_frame(m=False))).side == "buy"


def test_time_of_a_trade_is_the_trades_not_the_messages() -> None:
    assert only(parse(trade_frame(at=NOW, E=NOW // 1000 + 3))).exchange_time == NOW


def test_aggregate_trade_keeps_the_ids_it_sums_up() -> None:
    trade = only(parse(combined("btcusdt@aggTrade", AGG_TRADE)))
    assert (trade.trade_id, trade.sequence) == ("26129", 26129)
    assert (trade.first_trade_id, trade.last_trade_id, trade.trade_count) == ("27781", "27783", 3)
    assert (trade.side, trade.exchange_time) == ("sell", NOW - 2000)


def test_spot_book_ticker_has_no_exchange_time() -> None:
    quote = only(parse(combined("btcusdt@bookTicker", BOOK_TICKER)))
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (
        *(25_351900000000, 31_210000000000),
        *(25_365200000000, 40_660000000000),
    )
    assert (quote.sequence, quote.exchange_time, quote.last) == (400900217, None, None)


def test_futures_book_ticker_has_the_time_of_the_book() -> None:
    message = {"e": "bookTicker", **BOOK_TICKER, "T": NOW // 1000 - 5, "E": NOW // 1000}
    quote = only(parse(combined("btcusdt@bookTicker", message), market="usdm"))
    assert (quote.instrument, quote.exchange_time) == ("binance:BTC-USDT-PERP", NOW - 5000)


def test_side_of_the_book_that_is_empty_is_null_not_zero() -> None:
    message = BOOK_TICKER | {"b": "0.00000000", "B": "0.00000000"}
    quote = only(parse(combined("btcusdt@bookTicker", message)))
    assert (quote.bid, quote.bid_size) == (None, None)
    assert quote.ask is not None


def test_crossed_book_is_carried() -> None:
    quote = only(parse(combined("btcusdt@bookTicker", BOOK_TICKER | {"b": "30"})))
    assert quote.bid > quote.ask


def test_ticker_becomes_a_quote_with_the_days_figures() -> None:
    quote = only(parse(combined("btcusdt@ticker", TICKER)))
    assert (quote.last, quote.change_24h, quote.change_percent_24h) == (58_500000000000, -1_500000000000, -2_500000000000)
    assert (quote.volume_24h, quote.amount_24h) == (10000_500000000000, 595000_250000 * 10**18)
    assert quote.exchange_time == NOW


def test_kline_becomes_the_venues_candle() -> None:
    kline = only(parse(combined("btcusdt@kline_1m", KLINE_MESSAGE), at=NOW + 60_000_000))
    assert isinstance(kline, Kline)
    assert (kline.interval, kline.open_time, kline.is_closed) == ("1m", NOW, True)
    assert (kline.open, kline.high, kline.low, kline.close) == (10 * ONE, 13 * ONE, 9_500000000000, 12 * ONE)
    assert (kline.first_trade_id, kline.last_trade_id, kline.trade_count) == ("100", "200", 101)


def test_kline_of_a_minute_without_trades_has_no_trade_ids() -> None:
    kline = only(
        parse(combined("btcusdt@kline_1m", KLINE_MESSAGE | {"k": KLINE | {"f": -1, "L": -1, "n": 0, "v": "0"}}), at=NOW * 2)
    )
    assert (kline.first_trade_id, kline.last_trade_id, kline.volume) == (None, None, 0)


@pytest.mark.parametrize("channel", ["markPrice", "markPrice@1s"])
@pytest.mark.parametrize("market", ["usdm", None])
def test_mark_price_of_a_perpetual_tells_its_funding_and_is_a_quote(channel: str, market: str | None) -> None:
    at = 1_790_526_539_000_000
    parsed = parse(combined(f"btcusdt@{channel}", MARK_PRICE), market=market, at=at)
    assert parsed.name == channel
    prices = {"mark_price": 84551_107623190000, "index_price": 84590_873043480000}
    assert parsed.records == (
        make_quote(channel=channel, instrument="binance:BTC-USDT-PERP", exchange_time=at, at=at, **prices),
        Funding(
            instrument="binance:BTC-USDT-PERP",
            channel=channel,
            rate=8010000,
            next_funding_time=1_790_553_600_000_000,
            interval_seconds=None,
            exchange_time=at,
            received_at=at,
            **prices,
        ),
    )


def test_contract_without_funding_tells_its_mark_price_alone() -> None:
    message = MARK_PRICE | {"s": "BTCUSDT_261225", "r": "", "T": 0, "i": "0"}
    quote = only(parse(combined("btcusdt_261225@markPrice@1s", message), market="usdm", at=NOW * 2))
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.mark_price, quote.index_price) == ("binance:BTC-USDT-261225", 84551_107623190000, None)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"r": "much"}, "not_a_decimal", "rate"),
        ({"r": "1e-30"}, "too_precise", "rate"),
        ({"T": 1}, "bad_time", "next_funding_time"),
        ({"p": "-1"}, "not_positive", "mark_price"),
        ({"s": "ETHUSDT"}, "symbol_mismatch", "s"),
        ({"E": ENDLESS}, "bad_time", "exchange_time"),
    ],
)
def test_bad_funding_is_refused_with_the_field(fields: dict[str, Any], reason: str, field: str) -> None:
    error = refusal(combined("btcusdt@markPrice", MARK_PRICE | fields), market="usdm", at=1_790_526_539_000_000)
    assert (error.reason, error.field) == (reason, field)


@pytest.mark.parametrize(
    "channel",
    ["depth20", "depth20@100ms", "rpiDepth@500ms", "compositeIndex", "forceOrder", "miniTicker", "avgPrice", "ticker_1h"],
)
def test_known_stream_that_is_not_carried_is_ignored_by_name(channel: str) -> None:
    assert parse(combined(f"btcusdt@{channel}", {"e": "any", "s": "BTCUSDT"})) == Parsed(channel, ())


@pytest.mark.parametrize("kind", ["INSURANCE_FUND", "ADL", "NA"])
def test_trade_off_the_book_is_ignored_by_name(kind: str) -> None:
    assert parse(trade_frame(X=kind, p="0", M=...), market="usdm") == Parsed(f"trade/{kind}", ())


def test_market_trade_of_futures_is_carried() -> None:
    assert only(parse(trade_frame(X="MARKET", M=...), market="usdm")).instrument == "binance:BTC-USDT-PERP"


def test_answer_to_a_request_is_a_reply() -> None:
    assert parse(b'{"result":null,"id":3}') == Parsed("reply", ())


@pytest.mark.parametrize("channel", ["depth", "depth@100ms", "depth@500ms"])
def test_depth_becomes_a_delta_of_the_book(channel: str) -> None:
    parsed = parse(combined(f"btcusdt@{channel}", DEPTH))
    assert parsed.name == channel
    assert only(parsed) == Depth(
        instrument="binance:BTC-USDT",
        kind=DepthKind.DELTA,
        bids=(Level(61 * ONE + ONE // 2, ONE + ONE // 2), Level(61 * ONE + 4 * ONE // 10, 0)),
        asks=(Level(61 * ONE + 6 * ONE // 10, 100 * ONE),),
        first_sequence=157,
        last_sequence=160,
        previous_sequence=None,
        checksum=None,
        exchange_time=NOW,
        received_at=NOW,
    )


def test_depth_of_futures_names_the_update_before_and_has_the_time_of_the_book() -> None:
    depth = only(parse(combined("btcusdt@depth", FUTURES_DEPTH), market="usdm"))
    assert (depth.instrument, depth.previous_sequence, depth.exchange_time) == ("binance:BTC-USDT-PERP", 149, NOW - 3000)


def test_order_book_that_a_recorder_fetched_belongs_to_the_only_book_of_its_line() -> None:
    reader = parser()
    assert reader.parse(BOOK, NOW) == Parsed("depth snapshot", ())
    reader.parse(combined("btcusdt@depth", DEPTH), NOW)
    depth = only(reader.parse(BOOK, NOW))
    assert (depth.kind, depth.instrument, depth.last_sequence) == (DepthKind.SNAPSHOT, "binance:BTC-USDT", 158)
    assert (depth.first_sequence, depth.exchange_time) == (None, None)
    reader.parse(combined("ethusdt@depth", DEPTH | {"s": "ETHUSDT"}), NOW)
    assert reader.parse(BOOK, NOW) == Parsed("depth snapshot", ())


@pytest.mark.parametrize(
    ("url", "instrument"),
    [
        ("https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000", "binance:BTC-USDT"),
        ("https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT", "binance:BTC-USDT-PERP"),
    ],
)
def test_order_book_of_a_request_is_of_the_symbol_asked_for(url: str, instrument: str) -> None:
    parsed = VENUE.answered(url, BOOK, NOW, {}, 5_000_000)
    assert parsed is not None
    assert only(parsed).instrument == instrument
    assert VENUE.answered(url.replace("depth", "avgPrice"), BOOK, NOW, {}, 5_000_000) is None
    with pytest.raises(DataValidationError, match="does not name it"):
        VENUE.answered(url.partition("?")[0], BOOK, NOW, {}, 5_000_000)


@pytest.mark.parametrize(("ahead", "is_closed"), [(4_999_999, False), (5_000_000, True)])
def test_asked_kline_is_closed_once_it_is_over_by_any_clock(ahead: int, is_closed: bool) -> None:
    row = [NOW // 1000, "2", "3", "1", "2", "5", NOW // 1000 + 59_999, "10", 4, "1", "2", "0"]
    url = "https://api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=2"
    parsed = VENUE.answered(url, json.dumps([row]).encode(), NOW + 60_000_000 + ahead, {}, 5_000_000)
    assert parsed is not None
    assert [kline.is_closed for kline in parsed.records if isinstance(kline, Kline)] == [is_closed]


@pytest.mark.parametrize(("channel", "seconds"), [("kline_1s", 1), ("kline_1m", 60)])
def test_latest_klines_reach_back_to_one_that_is_closed_by_any_clock(channel: str, seconds: int) -> None:
    request = VENUE.poll_request(Subscription("binance:BTC-USDT", channel))
    assert request is not None
    (limit,) = parse_qs(urlsplit(request.url).query)["limit"]
    assert (int(limit) - 1) * seconds > 5


def test_frame_with_other_spacing_is_read_the_same() -> None:
    spaced = json.dumps(json.loads(trade_frame())).encode()
    assert parse(spaced) == parse(trade_frame())


# which market


@pytest.mark.parametrize(
    ("frame", "instrument"),
    [
        (trade_frame(), "binance:BTC-USDT"),
        (trade_frame(X="MARKET", M=...), "binance:BTC-USDT-PERP"),
        (combined("btcusdt@bookTicker", BOOK_TICKER), "binance:BTC-USDT"),
        (combined("btcusdt@bookTicker", {"e": "bookTicker", **BOOK_TICKER}), "binance:BTC-USDT-PERP"),
        (combined("btcusdt@aggTrade", AGG_TRADE), "binance:BTC-USDT"),
        (combined("btcusdt@ticker", TICKER), "binance:BTC-USDT"),
        (combined("btcusdt@ticker", {k: v for k, v in TICKER.items() if k != "x"}), "binance:BTC-USDT-PERP"),
    ],
)
def test_market_shows_in_the_fields_of_a_frame(frame: bytes, instrument: str) -> None:
    assert only(parse(frame, market=None)).instrument == instrument


def test_what_a_frame_showed_holds_for_later_ones() -> None:
    reader = parser(None)
    kline = combined("btcusdt@kline_1m", KLINE_MESSAGE)
    with pytest.raises(DataValidationError, match="nothing shows yet") as caught:
        reader.parse(kline, NOW * 2)
    assert caught.value.reason == "unknown_market"
    reader.parse(combined("btcusdt@depth@100ms", FUTURES_DEPTH), NOW)
    assert only(reader.parse(kline, NOW * 2)).instrument == "binance:BTC-USDT-PERP"


def test_trade_ids_have_no_holes_where_the_venue_leaves_none_out() -> None:
    assert set(parser("spot").contiguous) == {"trade", "aggTrade"}
    assert set(parser("usdm").contiguous) == {"aggTrade"}


# symbols


def test_listing_names_the_instrument_of_a_symbol() -> None:
    listed = {"spot": {"BTCUSDT": "binance:BT-CUSDT"}}
    assert only(parser("spot", listed).parse(trade_frame(), NOW)).instrument == "binance:BT-CUSDT"


@pytest.mark.parametrize("path", [SPOT_LISTING, FUTURES_LISTING])
def test_recorded_listing_agrees_with_the_form_of_every_symbol(path: Any) -> None:
    (answer,) = [item for item in read_recordings([path]) if isinstance(item, Answer)]
    market = VENUE.market_of(answer.url)
    listed = VENUE.listed(answer.url, answer.body)
    assert len(listed) > 100
    reader = parser(market)
    for symbol, instrument in listed.items():
        assert only(reader.parse(trade_frame(symbol=symbol), NOW)).instrument == instrument
        assert VENUE.symbol_of(instrument) == symbol


def test_dated_future_is_told_from_the_perpetual() -> None:
    trade = only(parse(trade_frame(symbol="BTCUSDT_210924"), market="usdm"))
    assert trade.instrument == "binance:BTC-USDT-210924"


def test_symbol_with_two_readings_is_an_error_that_lists_them() -> None:
    with pytest.raises(DataValidationError, match="XB-IDR, X-BIDR") as caught:
        split_symbol("XBIDR", ("IDR", "BIDR"))
    assert caught.value.reason == "ambiguous_symbol"


# what is refused


@pytest.mark.parametrize(
    ("frame", "reason", "field"),
    [
        (b"", "malformed_json", None),
        (b"{", "malformed_json", None),
        (trade_frame()[:-3], "malformed_json", None),
        (combined("btcusdt@depth", {})[:-1], "malformed_json", None),
        (b"\xff\xfe", "malformed_json", None),
        (b"[1]", "wrong_type", None),
        (b"{}", "missing_field", "stream"),
        (b'{"stream":"btcusdt@trade"}', "missing_field", "data"),
        (trade_frame(p=...), "missing_field", "data.p"),
        (trade_frame(p=61837.63), "wrong_type", "data.p"),
        (trade_frame(t="7"), "wrong_type", "data.t"),
        (trade_frame(t=-7), "wrong_type", "data.t"),
        (trade_frame(m=None), "wrong_type", "data.m"),
        (trade_frame(p="NaN"), "not_a_decimal", "price"),
        (trade_frame(p="Infinity"), "not_a_decimal", "price"),
        (trade_frame(p="0.00"), "not_positive", "price"),
        (trade_frame(p="-1"), "not_positive", "price"),
        (trade_frame(p="1e308"), "too_large", "price"),
        (trade_frame(p="1.234567890123456789"), "too_precise", "price"),
        (trade_frame(q="0"), "not_positive", "size"),
        (trade_frame(q="-1"), "not_positive", "size"),
        (trade_frame(q="-Infinity"), "not_a_decimal", "size"),
        (trade_frame(p="1" * 20, q="1" * 20), "too_large", "amount"),
        (trade_frame(number=2**63), "too_large", "sequence"),
        (trade_frame(p="0.0000000000001"), "too_precise", "price"),
        (trade_frame(p="1" * 30), "too_large", "price"),
        (trade_frame(T=NOW), "bad_time", "exchange_time"),
        (trade_frame(T=0), "bad_time", "exchange_time"),
        (trade_frame(T=253_402_300_799_000), "bad_time", "exchange_time"),
        (trade_frame(T=NOW // 1000 + 5001), "future_time", "exchange_time"),
        (trade_frame(s="ETHUSDT"), "symbol_mismatch", "s"),
        (trade_frame(symbol="BTCNOTHING"), "unknown_symbol", "symbol"),
        (trade_frame(symbol="B" * 10_240), "unknown_symbol", "symbol"),
        (trade_frame(symbol="B" * 10_240 + "USDT"), "bad_instrument", "instrument"),
        (trade_frame(symbol="\N{CJK UNIFIED IDEOGRAPH-6BD4}USDT"), "bad_instrument", "instrument"),
        (trade_frame(symbol="B\N{LATIN CAPITAL LETTER E WITH ACUTE}USDT"), "bad_instrument", "instrument"),
        (trade_frame(X="GIFT"), "unknown_trade_type", "X"),
        (combined("btcusdt@aggTrade", AGG_TRADE | {"l": 1}), "not_positive", "trade_count"),
        (combined("btcusdt@aggTrade", AGG_TRADE | {"l": 2**31 + 27781}), "too_large", "trade_count"),
        (combined("btcusdt@bookTicker", BOOK_TICKER | {"u": 2**63}), "too_large", "sequence"),
        (combined("btcusdt@kline_1m", KLINE_MESSAGE | {"k": KLINE | {"n": 2**31}}), "too_large", "trade_count"),
        (combined("btcusdt@kline_1m", KLINE_MESSAGE | {"k": KLINE | {"i": "5m"}}), "wrong_interval", "i"),
        (combined("btcusdt@kline_1m", KLINE_MESSAGE | {"k": KLINE | {"h": "1"}}), "inconsistent", "low"),
        (combined("btcusdt@kline_7m", KLINE_MESSAGE), "unknown_stream", "stream"),
        (combined("btcusdt@rumour", {}), "unknown_stream", "stream"),
        (combined("btcusdt", {}), "unknown_stream", "stream"),
        (combined("btcusdt@depth", DEPTH | {"b": [["0", "1"]]}), "not_positive", "bids"),
        (combined("btcusdt@depth", DEPTH | {"a": [["1", "-1"]]}), "negative", "asks"),
        (combined("btcusdt@depth", DEPTH | {"a": [["1"]]}), "wrong_type", "data.a[0]"),
        (combined("btcusdt@depth", DEPTH | {"U": 161}), "inconsistent", "first_sequence"),
        (combined("btcusdt@depth", {}), "missing_field", "data.E"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(frame: bytes, reason: str, field: str | None) -> None:
    error = refusal(frame, at=NOW)
    assert (error.reason, error.field) == (reason, field)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (trade_frame(T=ENDLESS), "exchange_time"),
        (trade_frame(T=-ENDLESS), "exchange_time"),
        (trade_frame(number=ENDLESS), "trade_id"),
        (combined("btcusdt@aggTrade", AGG_TRADE | {"l": ENDLESS}), "trade_count"),
        (combined("btcusdt@aggTrade", AGG_TRADE | {"f": ENDLESS}), "trade_count"),
        (combined("btcusdt@bookTicker", BOOK_TICKER | {"u": ENDLESS}), "sequence"),
        (combined("btcusdt@ticker", TICKER | {"E": ENDLESS}), "exchange_time"),
        (combined("btcusdt@kline_1m", KLINE_MESSAGE | {"k": KLINE | {"t": -ENDLESS}}), "open_time"),
        (combined("btcusdt@kline_1m", KLINE_MESSAGE | {"k": KLINE | {"n": ENDLESS}}), "trade_count"),
        (combined("btcusdt@kline_1m", KLINE_MESSAGE | {"k": KLINE | {"L": ENDLESS}}), "last_trade_id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_number_too_long_to_print_is_refused_by_its_field(frame: bytes, field: str) -> None:
    error = refusal(frame)
    assert error.field == field
    assert len(str(error)) < 200


def test_exchange_clock_may_run_ahead_by_five_seconds() -> None:
    assert only(parse(trade_frame(T=NOW // 1000 + 5000))).exchange_time == NOW + 5_000_000


def test_refused_frame_still_shows_its_channel() -> None:
    assert parser().channel_of(trade_frame(p="x")) == "trade"
    assert parser().channel_of(combined("btcusdt@kline_1m", {})) == "kline_1m"
    assert parser().channel_of(combined("btcusdt@rumour", {})) == "unknown"
    assert parser().channel_of(b"\x00") == "unknown"


FIELDS = st.sampled_from(["stream", "data", "s", "t", "p", "q", "T", "m", "X", "k", "E", "u", "b"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner),
    max_leaves=12,
)


def parse_or_refuse(frame: bytes, market: str | None) -> None:
    reader = parser(market)
    for _ in range(2):  # what a first frame leaves behind must not matter
        try:
            parsed = reader.parse(frame, NOW)
        except DataValidationError as error:
            assert error.reason
        else:
            assert parsed.name
        assert reader.channel_of(frame)


@given(st.binary(max_size=200), st.sampled_from(["spot", "usdm", None]))
def test_any_bytes_are_parsed_or_refused(frame: bytes, market: str | None) -> None:
    parse_or_refuse(frame, market)


@given(JSON, st.sampled_from(["spot", "usdm", None]))
def test_any_json_is_parsed_or_refused(value: Any, market: str | None) -> None:
    parse_or_refuse(json.dumps(value).encode(), market)


@given(
    st.sampled_from(
        ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@ticker", "btcusdt@kline_1m", "btcusdt@depth"]
    ),
    st.sampled_from([DEPTH, FUTURES_DEPTH, AGG_TRADE, BOOK_TICKER, TICKER, KLINE_MESSAGE, json.loads(trade_frame())["data"]]),
    st.data(),
)
def test_any_change_of_a_good_message_is_parsed_or_refused(stream: str, message: dict[str, Any], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(message)))
    parse_or_refuse(combined(stream, message | {field: data.draw(JSON)}), data.draw(st.sampled_from(["spot", "usdm", None])))


def test_json_nested_without_end_is_refused() -> None:
    assert refusal(b'{"stream":"btcusdt@depth","data":' + b"[" * 100_000).reason == "malformed_json"


# subscribing

TRADES = Subscription("binance:BTC-USDT", "trade")
PERPETUAL = Subscription("binance:BTC-USDT-PERP", "aggTrade")


def test_spot_and_futures_are_served_at_different_addresses() -> None:
    assert VENUE.route(TRADES, None) == ("spot", "wss://stream.binance.com:9443/stream")
    assert VENUE.route(PERPETUAL, None) == ("usdm", "wss://fstream.binance.com/market/stream")
    assert VENUE.route(PERPETUAL._replace(channel="bookTicker"), None) == ("usdm", "wss://fstream.binance.com/public/stream")
    assert VENUE.route(TRADES, "ws://127.0.0.1:1/") == ("spot", "ws://127.0.0.1:1/stream")


def test_subscribing_names_the_streams() -> None:
    (request,) = VENUE.requests([TRADES, Subscription("binance:ETH-BTC", "kline_5m")], 9, NOW, subscribe=True)
    assert json.loads(request.message) == {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethbtc@kline_5m"], "id": 9}


def test_many_subscriptions_are_asked_for_in_parts() -> None:
    many = [Subscription(f"binance:C{number}-USDT", "trade") for number in range(150)]
    messages = [json.loads(request.message) for request in VENUE.requests(many, 1, NOW, subscribe=False)]
    assert [len(message["params"]) for message in messages] == [100, 50]
    assert [(message["method"], message["id"]) for message in messages] == [("UNSUBSCRIBE", 1), ("UNSUBSCRIBE", 2)]


@pytest.mark.parametrize(
    ("instrument", "channel", "message"),
    [
        ("okx:BTC-USDT", "trade", "no instrument of binance"),
        ("binance:BTCUSDT", "trade", "no instrument of binance"),
        ("binance:BTC-USDT", "trades", "'trades' is no channel of binance"),
        ("binance:BTC-USDT", "depth5", "'depth5' is no channel of binance"),
        ("binance:BTC-USDT", "kline_7m", "is no channel of binance"),
        ("binance:BTC-USDT", "markPrice@1s", "tells the funding of perpetuals, and binance:BTC-USDT is none"),
        ("binance:BTC-USDT-260925", "markPrice", "tells the funding of perpetuals"),
        ("binance:BTC-USDT-PERP", "markPrice@3s", "is no channel of binance"),
    ],
)
def test_what_the_venue_does_not_have_cannot_be_subscribed(instrument: str, channel: str, message: str) -> None:
    with pytest.raises(SubscriptionError, match=message):
        VENUE.check([Subscription(instrument, channel)])


def test_two_trade_channels_of_one_instrument_are_an_error() -> None:
    VENUE.check([TRADES, PERPETUAL])
    with pytest.raises(SubscriptionError, match="count its trades twice"):
        VENUE.check([TRADES, TRADES._replace(channel="aggTrade")])


@pytest.mark.parametrize(
    ("url", "market"),
    [
        ("wss://stream.binance.com:9443/stream?streams=btcusdt@trade", "spot"),
        ("https://api.binance.com/api/v3/exchangeInfo", "spot"),
        ("wss://fstream.binance.com/public/stream", "usdm"),
        ("https://fapi.binance.com/fapi/v1/depth?symbol=X", "usdm"),
        ("wss://dstream.binance.com/stream", None),
        ("wss://ws.kraken.com", None),
        ("wss://[", None),
    ],
)
def test_market_of_a_recorded_address(url: str, market: str | None) -> None:
    assert VENUE.market_of(url) == market
