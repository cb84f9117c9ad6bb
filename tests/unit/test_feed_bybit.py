"""Frames of Bybit's v5 streams, with figures of 2026-08-09, and what each becomes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds
from ingest.feed import BookParser, Parsed, Parser
from market.book_rules import by_one
from market.depth import DepthKind
from market.errors import DataValidationError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import Trade

VENUE = feeds.load("bybit")
AT = 1_786_310_821_431_163
MS = 1_786_310_821_322
TRADE: dict[str, Any] = {
    "T": MS,
    "s": "SOLUSDT",
    "S": "Sell",
    "v": "5.1",
    "p": "77.300",
    "L": "MinusTick",
    "i": "4b0832c3-70e8-5f68-a914-c53f304f507c",
    "BT": False,
    "RPI": False,
    "seq": 272903628046,
}
BOOK = {"s": "SOLUSDT", "b": [["77.300", "1349.4"]], "a": [["77.360", "0"]], "u": 13783324, "seq": 272903624295}
TICKER = {
    "symbol": "SOLUSDT",
    "price24hPcnt": "0.01337",
    "lastPrice": "77.310",
    "prevPrice24h": "76.290",
    "highPrice24h": "77.560",
    "lowPrice24h": "75.710",
    "turnover24h": "276851254.5170",
    "volume24h": "3615929.0000",
    "bid1Price": "77.300",
    "bid1Size": "1348.2",
    "ask1Price": "77.310",
    "ask1Size": "211.6",
    "preOpenPrice": "",
}
OF_PERPETUAL = {
    "markPrice": "77.310",
    "indexPrice": "77.339",
    "openInterest": "6738053.9",
    "openInterestValue": "520918947.01",
    "fundingIntervalHour": "8",
    "nextFundingTime": "1786320000000",
    "fundingRate": "0.00000876",
}
KLINE = {
    "start": MS - MS % 60_000,
    "end": 0,
    "interval": "1",
    "open": "77.28",
    "close": "77.31",
    "high": "77.31",
    "low": "77.28",
    "volume": "1252.7",
    "turnover": "96823.3",
    "confirm": True,
    "timestamp": MS,
}


def frame(topic: str, data: Any, *, kind: str = "snapshot", **more: Any) -> bytes:
    return json.dumps({"topic": topic, "type": kind, "ts": MS, "data": data, **more}).encode()


def parser(market: str | None = "linear") -> Parser:
    return VENUE.parser(market, {}, 5_000_000)


def only(data: bytes, market: str = "linear") -> Any:
    (record,) = parser(market).parse(data, AT).records
    return record


def test_trade_has_the_takers_side() -> None:
    trade = only(frame("publicTrade.SOLUSDT", [TRADE]))
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.trade_id, trade.side) == ("bybit:SOL-USDT-PERP", TRADE["i"], "sell")
    assert (trade.price, trade.size, trade.exchange_time) == (77_300000000000, 5_100000000000, MS * 1000)


def test_trades_of_one_match_keep_the_order_of_the_message() -> None:
    trades = parser().parse(frame("publicTrade.SOLUSDT", [TRADE | {"i": name} for name in "abc"]), AT).records
    sequences = [trade.sequence for trade in trades if isinstance(trade, Trade)]
    assert sequences == sorted(set(sequences))
    later = only(frame("publicTrade.SOLUSDT", [TRADE | {"seq": TRADE["seq"] + 1}]))
    assert later.sequence > sequences[-1]


def test_block_trade_off_the_book_is_left_out() -> None:
    assert parser().parse(frame("publicTrade.SOLUSDT", [TRADE | {"BT": True}]), AT) == Parsed("publicTrade", [])


@pytest.mark.parametrize(
    ("market", "symbol", "instrument"),
    [
        ("spot", "BTCUSDT", "bybit:BTC-USDT"),
        ("linear", "BTCUSDT", "bybit:BTC-USDT-PERP"),
        ("linear", "BTCPERP", "bybit:BTC-USDC-PERP"),
        ("inverse", "BTCUSD", "bybit:BTC-USD-PERP"),
    ],
)
def test_market_of_the_connection_tells_pair_from_contract(market: str, symbol: str, instrument: str) -> None:
    assert only(frame(f"publicTrade.{symbol}", [TRADE | {"s": symbol}]), market).instrument == instrument


def test_listing_dates_the_contracts_that_are_delivered() -> None:
    url = "https://api.bybit.com/v5/market/instruments-info?&category=linear&status=Trading"
    fields = ("symbol", "contractType", "baseCoin", "quoteCoin", "deliveryTime")
    rows = [
        ("BTC-25SEP26", "LinearFutures", "BTC", "USDC", "1790323200000"),
        ("1000XUSDT", "LinearPerpetual", "1000X", "USDT", "0"),
        ("BAD", "LinearFutures", "B", "C", "soon"),
    ]
    listings = [dict(zip(fields, row, strict=True)) for row in rows]
    listed = VENUE.listed(url, json.dumps({"result": {"list": listings}}).encode())
    assert listed == {"BTC-25SEP26": "bybit:BTC-USDC-260925", "1000XUSDT": "bybit:1000X-USDT-PERP"}


INVERSE_TICKER = TICKER | OF_PERPETUAL | {"symbol": "SOLUSD", "volume24h": "276851254", "turnover24h": "3615929.0"}


def test_turnover_of_inverse_contracts_is_no_amount_since_it_is_in_the_base_currency() -> None:
    quote, funding, held = parser("inverse").parse(frame("tickers.SOLUSD", INVERSE_TICKER), AT).records
    assert isinstance(quote, Quote)
    assert isinstance(funding, Funding)
    assert isinstance(held, OpenInterest)
    assert (quote.instrument, quote.volume_24h, quote.amount_24h) == ("bybit:SOL-USD-PERP", 276851254_000000000000, None)
    assert (held.open_interest, held.notional) == (6738053_900000000000, None)
    assert funding.rate == 8_760_000
    kline = only(frame("kline.1.SOLUSD", [KLINE]), "inverse")
    assert isinstance(kline, Kline)
    assert (kline.volume, kline.amount) == (1252_700000000000, None)
    linear = only(frame("kline.1.SOLUSDT", [KLINE]))
    assert linear.amount == 96823_300000000000 * 10**12


def test_dated_inverse_contract_is_known_by_the_list_alone() -> None:
    trades = frame("publicTrade.BTCUSDU26", [TRADE | {"s": "BTCUSDU26"}])
    with pytest.raises(DataValidationError) as caught:
        only(trades, "inverse")
    assert (caught.value.reason, caught.value.field) == ("unknown_symbol", "symbol")
    listed = VENUE.parser("inverse", {"inverse": {"BTCUSDU26": "bybit:BTC-USD-260925"}}, 5_000_000)
    (trade,) = listed.parse(trades, AT).records
    assert isinstance(trade, Trade)
    assert trade.instrument == "bybit:BTC-USD-260925"


def test_book_has_the_time_of_the_match_and_rises_by_one() -> None:
    depth = only(frame("orderbook.200.SOLUSDT", BOOK, kind="delta", cts=MS - 2))
    assert (depth.kind, depth.last_sequence, depth.exchange_time) == (DepthKind.DELTA, 13783324, (MS - 2) * 1000)
    assert (depth.first_sequence, depth.previous_sequence, depth.checksum) == (None, None, None)
    reader = parser()
    assert isinstance(reader, BookParser)
    assert reader.book_rules("orderbook.200").step is by_one


@pytest.mark.parametrize(
    ("kind", "number", "wanted"), [("snapshot", 7, "SNAPSHOT"), ("delta", 7, "DELTA"), ("delta", 1, "SNAPSHOT")]
)
def test_message_numbered_one_is_a_snapshot_after_a_restart(kind: str, number: int, wanted: str) -> None:
    assert only(frame("orderbook.200.SOLUSDT", BOOK | {"u": number}, kind=kind)).kind == wanted


def test_ticker_keeps_what_a_delta_leaves_out() -> None:
    reader = parser()
    reader.parse(frame("tickers.SOLUSDT", TICKER | OF_PERPETUAL), AT)
    delta = frame("tickers.SOLUSDT", {"symbol": "SOLUSDT", "bid1Price": "77.290", "bid1Size": "1"}, kind="delta")
    (quote,) = reader.parse(delta, AT).records
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask, quote.last) == (77_290000000000, 77_310000000000, 77_310000000000)
    assert (quote.change_percent_24h, quote.open_24h, quote.change_24h) == (1_337000000000, 76_290000000000, None)
    assert (quote.mark_price, quote.index_price) == (77_310000000000, 77_339000000000)


def test_ticker_of_a_delta_alone_knows_no_more_than_it_says() -> None:
    quote = only(frame("tickers.SOLUSDT", {"symbol": "SOLUSDT", "bid1Price": "77.290", "bid1Size": "1"}, kind="delta"))
    assert (quote.bid, quote.ask, quote.last, quote.volume_24h) == (77_290000000000, None, None, None)


FUNDING = Funding(
    "bybit:SOL-USDT-PERP",
    "tickers",
    rate=8760000,
    next_funding_time=1_786_320_000_000_000,
    interval_seconds=28_800,
    mark_price=77_310000000000,
    index_price=77_339000000000,
    exchange_time=MS * 1000,
    received_at=AT,
)
OPEN_INTEREST = OpenInterest(
    *("bybit:SOL-USDT-PERP", "tickers", 6738053_900000000000, 52091894701 * 10**22),
    *(MS * 1000, AT),
)


def ticker(**fields: str) -> bytes:
    return frame("tickers.SOLUSDT", {"symbol": "SOLUSDT", **fields}, kind="delta")


def told(reader: Parser, data: bytes) -> list[Any]:
    """What a frame says beside its quote."""
    quote, *rest = reader.parse(data, AT).records
    assert isinstance(quote, Quote)
    return rest


def test_ticker_of_a_perpetual_tells_funding_and_open_interest() -> None:
    assert told(parser(), frame("tickers.SOLUSDT", TICKER | OF_PERPETUAL)) == [FUNDING, OPEN_INTEREST]


def test_delta_tells_funding_and_open_interest_only_where_it_says_something_of_them() -> None:
    reader = parser()
    reader.parse(frame("tickers.SOLUSDT", TICKER | OF_PERPETUAL), AT)
    assert told(reader, ticker(bid1Price="77.290", markPrice="77.320", indexPrice="77.340")) == []
    moved = FUNDING._replace(mark_price=77_320000000000, index_price=77_340000000000)
    assert told(reader, ticker(fundingRate="-0.00001")) == [moved._replace(rate=-10_000_000)]
    assert told(reader, ticker(nextFundingTime="1786348800000")) == [
        moved._replace(rate=-10_000_000, next_funding_time=1_786_348_800_000_000)
    ]
    assert told(reader, ticker(openInterestValue="520918947.02")) == [OPEN_INTEREST._replace(notional=52091894702 * 10**22)]
    assert told(reader, ticker(openInterest="0")) == [OPEN_INTEREST._replace(open_interest=0, notional=52091894702 * 10**22)]


def test_delta_before_any_snapshot_tells_what_it_says_and_invents_nothing() -> None:
    assert told(parser(), ticker(nextFundingTime="1786320000000", openInterestValue="1")) == []
    (funding,) = told(parser(), ticker(fundingRate="0"))
    empty = FUNDING._replace(rate=0, next_funding_time=None, interval_seconds=None, mark_price=None, index_price=None)
    assert funding == empty
    assert told(parser(), ticker(openInterest="1")) == [OPEN_INTEREST._replace(open_interest=10**12, notional=None)]


def test_contract_without_funding_has_none() -> None:
    delivered = OF_PERPETUAL | {"fundingRate": "", "nextFundingTime": "0", "fundingIntervalHour": ""}
    assert told(parser(), frame("tickers.SOLUSDT", TICKER | delivered)) == [OPEN_INTEREST]
    odd = OF_PERPETUAL | {"nextFundingTime": "0", "fundingIntervalHour": ""}
    funding, _ = told(parser(), frame("tickers.SOLUSDT", TICKER | odd))
    assert (funding.next_funding_time, funding.interval_seconds) == (None, None)


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "fundingRate": st.sampled_from(["0", "0.0001", "-0.00025"]),
        "nextFundingTime": st.sampled_from(["1786320000000", "1786348800000"]),
        "fundingIntervalHour": st.sampled_from(["1", "8"]),
        "markPrice": st.sampled_from(["77.31", "77.32"]),
        "openInterest": st.sampled_from(["0", "6738053.9"]),
        "openInterestValue": st.sampled_from(["520918947.01", "0"]),
        "bid1Price": st.just("77.30"),
    },
)


@given(st.lists(st.tuples(st.booleans(), CHANGES), max_size=12))
def test_records_hold_what_was_told_last_since_the_snapshot(messages: list[tuple[bool, dict[str, str]]]) -> None:
    reader, state = parser(), dict[str, str]()
    for is_snapshot, fields in messages:
        state = fields if is_snapshot else state | fields
        data = frame("tickers.SOLUSDT", {"symbol": "SOLUSDT", **fields}, kind="snapshot" if is_snapshot else "delta")
        found = {type(record): record for record in told(reader, data)}
        funding, interest = found.pop(Funding, None), found.pop(OpenInterest, None)
        assert not found
        says_funding = any(name.startswith(("funding", "nextFunding")) for name in fields)
        assert (funding is not None) == (says_funding and "fundingRate" in state)
        if funding is not None:
            assert funding.rate == round(float(state["fundingRate"]) * 10**12)
            assert funding.next_funding_time == (int(state["nextFundingTime"]) * 1000 if "nextFundingTime" in state else None)
            hours = state.get("fundingIntervalHour")
            assert funding.interval_seconds == (None if hours is None else int(hours) * 3600)
            assert (funding.mark_price is None) == ("markPrice" not in state)
        says_interest = any(name.startswith("openInterest") for name in fields)
        assert (interest is not None) == (says_interest and "openInterest" in state)
        if interest is not None:
            assert interest.open_interest == round(float(state["openInterest"]) * 10) * 10**11
            assert (interest.notional is None) == ("openInterestValue" not in state)


def test_kline_becomes_the_venues_candle() -> None:
    kline = only(frame("kline.1.SOLUSDT", [KLINE]))
    assert isinstance(kline, Kline)
    assert (kline.interval, kline.open_time, kline.is_closed) == ("1m", 1_786_310_820_000_000, True)
    assert (kline.open, kline.volume, kline.amount) == (77_280000000000, 1252_700000000000, 968233 * 10**23)
    assert (kline.trade_count, kline.first_trade_id, kline.taker_buy_volume) == (None, None, None)
    assert only(frame("kline.D.SOLUSDT", [KLINE | {"interval": "D"}])).interval == "1d"


def test_known_topic_that_is_not_carried_is_ignored_by_name() -> None:
    assert parser().parse(frame("allLiquidation.SOLUSDT", []), AT) == Parsed("allLiquidation", ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (b'{"topic":"publicTrade.SOLUSDT"}', "missing_field", "data"),
        (frame("rumours.SOLUSDT", []), "unknown_stream", "topic"),
        (frame("publicTrade.SOLUSDT", [TRADE | {"s": "BTCUSDT"}]), "symbol_mismatch", "symbol"),
        (frame("publicTrade.SOLUSDT", [TRADE | {"S": "Both"}]), "unknown_side", "side"),
        (frame("publicTrade.SOLUSDT", [TRADE | {"v": "0"}]), "not_positive", "size"),
        (frame("publicTrade.SOLUSDT", [TRADE | {"seq": 2**60}]), "too_large", "sequence"),
        (frame("publicTrade.SOLNOTHING", [TRADE | {"s": "SOLNOTHING"}]), "unknown_symbol", "symbol"),
        (frame("orderbook.200.SOLUSDT", BOOK | {"a": [["1", "-1"]]}), "negative", "asks"),
        (frame("kline.1.SOLUSDT", [KLINE | {"interval": "5"}]), "wrong_interval", "interval"),
        (frame("tickers.SOLUSDT", TICKER | {"fundingRate": "low"}), "not_a_decimal", "rate"),
        (frame("tickers.SOLUSDT", TICKER | OF_PERPETUAL | {"fundingIntervalHour": "8.5"}), "wrong_type", "interval_seconds"),
        (frame("tickers.SOLUSDT", TICKER | OF_PERPETUAL | {"nextFundingTime": "soon"}), "bad_time", "next_funding_time"),
        (frame("tickers.SOLUSDT", TICKER | OF_PERPETUAL | {"openInterest": "-1"}), "negative", "open_interest"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parser().parse(data, AT)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_refused_frame_still_shows_its_channel() -> None:
    assert parser().channel_of(frame("orderbook.200.SOLUSDT", {})) == "orderbook.200"
    assert parser().channel_of(frame("rumours.SOLUSDT", {})) == "unknown"


def test_frame_of_an_unknown_market_is_refused() -> None:
    with pytest.raises(DataValidationError) as caught:
        parser(None).parse(frame("publicTrade.SOLUSDT", [TRADE]), AT)
    assert caught.value.reason == "unknown_market"


@pytest.mark.parametrize(
    ("url", "market"),
    [
        ("wss://stream.bybit.com/v5/public/linear", "linear"),
        ("wss://stream.bybit.com/v5/public/spot", "spot"),
        ("wss://stream.bybit.com/v5/public/inverse", "inverse"),
        ("wss://stream.bybit.com/v5/public/option", None),
    ],
)
def test_address_shows_the_market(url: str, market: str | None) -> None:
    assert VENUE.market_of(url) == market
