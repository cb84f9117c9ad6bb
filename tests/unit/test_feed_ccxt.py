"""What is made of CCXT's unified words; no exchange and no library is needed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds
from ingest.ccxt_source import symbols_of
from ingest.feed import PolledVenue, Subscription
from ingest.feeds._ccxt_frames import CcxtParser, frame_of, instrument_of
from market.decimals import ONE, format_decimal
from market.errors import DataValidationError, SubscriptionError
from market.feed_status import FeedState
from market.quote import Kline, Quote
from tests.ingest_parts import NOW

BTC = "kraken:BTC-USD"
MILLIS = NOW // 1000


def parse(parser: CcxtParser, channel: str, data: Any, at: int = NOW) -> Any:
    return parser.parse(frame_of("kraken", channel, BTC, data), at)


def trade(number: int, **changed: Any) -> dict[str, Any]:
    return {"id": str(number), "timestamp": MILLIS + number, "price": "61000.1", "amount": "0.5", "side": "buy", **changed}


def test_a_page_tells_what_the_one_before_did_not() -> None:
    parser = CcxtParser(5_000_000)
    first = parse(parser, "trades", [trade(1), trade(2)])
    second = parse(parser, "trades", [trade(2), trade(3)])
    assert [one.trade_id for one in first.records] == ["1", "2"]
    assert [one.trade_id for one in second.records] == ["3"]
    assert not second.told


def test_pages_that_do_not_meet_tell_a_gap() -> None:
    parser = CcxtParser(5_000_000)
    parse(parser, "trades", [trade(1), trade(2)])
    parsed = parse(parser, "trades", [trade(8), trade(9)])
    assert [one.trade_id for one in parsed.records] == ["8", "9"]
    assert [(told.instrument, told.state) for told in parsed.told] == [(BTC, FeedState.GAP)]


def test_trades_without_ids_are_refused() -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(CcxtParser(5_000_000), "trades", [trade(1, id=None)])
    assert (caught.value.reason, caught.value.field) == ("missing_field", "id")


def test_a_kline_is_told_when_it_changes_and_closed_when_it_is_over() -> None:
    parser = CcxtParser(5_000_000)
    rows: list[list[Any]] = [[MILLIS - 60_000, "1", "2", "1", "2", "5"], [MILLIS, "2", "2", "2", "2", "0.1"]]
    first = parse(parser, "ohlcv_1m", rows).records
    assert [(one.open_time, one.is_closed) for one in first] == [(NOW - 60_000_000, True), (NOW, False)]
    assert parse(parser, "ohlcv_1m", rows, NOW + 1).records == []
    rows[1][5] = "0.2"
    (changed,) = parse(parser, "ohlcv_1m", rows, NOW + 2).records
    assert isinstance(changed, Kline)
    assert format_decimal(changed.volume or 0) == "0.2"


def test_per_cent_is_rounded_and_other_quotients_are_left_out() -> None:
    ticker = {"last": "3", "open": "1.333333333333333333", "change": "1.666666666666666667", "percentage": "1.0000000000005"}
    (quote,) = parse(CcxtParser(5_000_000), "ticker", ticker).records
    assert isinstance(quote, Quote)
    assert (quote.last, quote.open_24h, quote.change_24h) == (3 * ONE, None, None)
    assert quote.change_percent_24h == ONE


def test_mark_and_index_prices_are_told_where_ccxt_knows_them() -> None:
    (quote,) = parse(CcxtParser(5_000_000), "ticker", {"markPrice": "2.5", "indexPrice": "1.3333333333333"}).records
    assert isinstance(quote, Quote)
    assert (quote.mark_price, quote.index_price) == (5 * ONE // 2, None)


def test_a_binary_number_is_refused() -> None:
    with pytest.raises(DataValidationError, match=r"data\.bid: CCXT gives a binary number") as caught:
        frame_of("kraken", "ticker", BTC, {"bid": 0.1})
    assert caught.value.reason == "not_exact"


def test_symbols_are_told_apart_and_ambiguous_ones_listed() -> None:
    def market(symbol: str, kind: str, settle: str | None = None) -> dict[str, Any]:
        base, _, quote = symbol.partition(":")[0].partition("/")
        return {"symbol": symbol, "base": base, "quote": quote, "settle": settle, kind: True}

    markets = [
        market("BTC/USDT", "spot"),
        market("BTC/USDT:USDT", "swap", "USDT"),
        market("BTC/USD:BTC", "swap", "BTC"),
        market("BTC/USDT:USDT-240927", "future", "USDT"),
        market("BTC/USDT:USDT-240927-70000-C", "option", "USDT"),
        market("btc/usdt", "spot"),
        market("龙/USDT", "spot"),
    ]
    assert symbols_of("okx", markets) == {
        "okx:BTC-USDT": ["BTC/USDT", "btc/usdt"],
        "okx:BTC-USDT-PERP": ["BTC/USDT:USDT"],
        "okx:BTC-USD-BTC-PERP": ["BTC/USD:BTC"],
        "okx:BTC-USDT-240927": ["BTC/USDT:USDT-240927"],
    }


def test_channels_are_ccxts_words() -> None:
    venue = feeds.load("ccxt")
    assert isinstance(venue, PolledVenue)
    venue.check([Subscription(BTC, channel) for channel in ("ticker", "trades", "order_book", "ohlcv_1m", "ohlcv_1d")])
    for instrument, channel in ((BTC, "rumours"), (BTC, "ohlcv_1x"), ("BTC/USD", "ticker")):
        with pytest.raises(SubscriptionError):
            venue.check([Subscription(instrument, channel)])
    with pytest.raises(ValueError, match="levels"):
        venue.configured({"levels": 0})
    assert venue.traded([Subscription(BTC, "ticker")]) == frozenset()
    assert venue.traded([Subscription(BTC, "trades")]) == {BTC}


VALUES = (
    st.none() | st.text(max_size=6) | st.integers(-(10**20), 10**20) | st.sampled_from(["0", "-1", "1e99", "NaN", "61000.1"])
)


@given(st.sampled_from(["ticker", "trades", "order_book", "ohlcv_1m", "rumours"]), st.data())
def test_whatever_ccxt_says_is_read_or_refused(channel: str, data: st.DataObject) -> None:
    rows = st.lists(st.lists(VALUES, max_size=7), max_size=3)
    fields = st.sampled_from(["id", "timestamp", "price", "amount", "side", "bid", "last", "percentage", "bids", "asks"])
    trades = st.lists(st.dictionaries(fields, VALUES), max_size=3)
    said = data.draw(st.dictionaries(fields, VALUES | rows) | trades | rows)
    parser = CcxtParser(5_000_000)
    frame = frame_of("kraken", channel, BTC, said)
    assert instrument_of(frame) == BTC
    try:
        parser.parse(frame, NOW)
    except DataValidationError as error:
        assert error.reason
    assert parser.channel_of(frame)
    assert parser.channel_of(b"{}") == "unknown"


FUNDING = {"fundingRate": "0.0001", "fundingTimestamp": MILLIS + 1, "interval": "8h", "timestamp": MILLIS}


def test_funding_has_what_the_exchange_tells_of_it() -> None:
    (funding,) = parse(CcxtParser(5_000_000), "funding_rate", FUNDING | {"markPrice": "2", "indexPrice": None}).records
    assert (funding.rate, funding.next_funding_time, funding.interval_seconds) == (10**8, NOW + 1_000, 28_800)
    assert (funding.mark_price, funding.index_price, funding.exchange_time) == (2 * ONE, None, NOW)
    for interval in (None, "", "7h", "often"):
        (funding,) = parse(CcxtParser(5_000_000), "funding_rate", FUNDING | {"interval": interval}).records
        assert funding.interval_seconds is None
    (held,) = parse(CcxtParser(5_000_000), "open_interest", {"openInterestAmount": "3", "openInterestValue": "7.5"}).records
    assert (held.open_interest, held.notional, held.exchange_time) == (3 * ONE, 75 * 10**23, None)


@pytest.mark.parametrize(
    ("channel", "data", "field"),
    [
        ("funding_rate", FUNDING | {"fundingRate": None}, "rate"),
        ("open_interest", {"openInterestAmount": None, "openInterestValue": "1"}, "open_interest"),
        ("funding_rate_history", [{"fundingRate": "1", "timestamp": None}], "exchange_time"),
        ("funding_rate_history", [{"fundingRate": None, "timestamp": MILLIS}], "rate"),
    ],
)
def test_what_says_nothing_of_funding_or_open_interest_is_refused(channel: str, data: Any, field: str) -> None:
    parser = CcxtParser(5_000_000)
    with pytest.raises(DataValidationError) as caught:
        parse(parser, channel, data)
    assert (caught.value.reason, caught.value.field) == ("missing_field", field)
    assert parser.channel_of(frame_of("kraken", channel, BTC, data)) == channel
