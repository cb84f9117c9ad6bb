"""Frames of Deribit: tickers and books as recorded on 2021-07-22, trades as documented, and what each becomes."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, Parsed, Parser, SequencedParser, Subscription
from ingest.feeds.deribit import VENUE
from ingest.playback import Playback
from ingest.recorded import Frame
from ingest.recordings import read_recordings
from market.book_rules import by_previous_if_named
from market.decimals import ONE, format_decimal
from market.depth import BookState, Depth, DepthKind
from market.errors import DataValidationError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import Trade
from tests.ingest_parts import played
from tests.venue_data import DERIBIT

AT = 1_626_993_724_000_000
TRADE = {
    "trade_seq": 30289442,
    "trade_id": "48079269",
    "timestamp": 1590484512188,
    "tick_direction": 2,
    "price": 8950.0,
    "mark_price": 8948.9,
    "instrument_name": "BTC-PERPETUAL",
    "index_price": 8955.88,
    "direction": "sell",
    "amount": 10.0,
}
TICKER = {
    "timestamp": 1626993723632,
    "stats": {"volume": 193.4, "price_change": -28.5714, "low": 0.002, "high": 0.0035},
    "state": "open",
    "open_interest": 572.5,
    "mark_price": 0.00222014,
    "last_price": 0.0025,
    "instrument_name": "BTC-30JUL21-24000-P",
    "best_bid_price": 0.002,
    "best_bid_amount": 91.6,
    "best_ask_price": 0.0025,
    "best_ask_amount": 13.7,
}
BOOK = {
    "type": "snapshot",
    "timestamp": 1626993723632,
    "instrument_name": "ETH-30JUL21-2800-C",
    "change_id": 13169025645,
    "bids": [["new", 0.0015, 4714.0], ["new", 0.001, 861.0]],
    "asks": [["new", 0.0025, 873.0]],
}
CHANGE = BOOK | {
    "type": "change",
    "change_id": 13169025700,
    "prev_change_id": 13169025645,
    "bids": [["delete", 0.0015, 0.0], ["change", 0.001, 5.0]],
    "asks": [],
}


def frame(channel: str, data: Any) -> bytes:
    told = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}
    return json.dumps(told).encode()


def ticker(**changes: Any) -> bytes:
    return frame("ticker.BTC-30JUL21-24000-P.raw", TICKER | changes)


def book(message: dict[str, Any], **changes: Any) -> bytes:
    return frame("book.ETH-30JUL21-2800-C.raw", message | changes)


def trades(*rows: dict[str, Any]) -> bytes:
    return frame("trades.BTC-PERPETUAL.100ms", list(rows))


def parser() -> Parser:
    return feeds.load("deribit").parser("v2", {}, 5_000_000)


def parse(data: bytes) -> Parsed:
    return parser().parse(data, AT)


def fundings(data: bytes) -> list[Funding]:
    return [record for record in parse(data).records if isinstance(record, Funding)]


def only(data: bytes) -> Any:
    (record,) = (record for record in parse(data).records if not isinstance(record, OpenInterest))
    return record


def test_ticker_tells_open_interest_where_it_has_it() -> None:
    _, held = parse(ticker()).records
    assert isinstance(held, OpenInterest)
    assert (held.channel, held.open_interest, held.notional) == ("ticker.raw", 5725 * ONE // 10, None)
    assert len(parse(ticker(open_interest=None)).records) == 1


def test_ticker_of_a_perpetual_tells_the_rate_of_now_for_eight_hours() -> None:
    """As in the documentation's example of "ticker.{instrument_name}.{interval}"; no ticker of a perpetual was recorded."""
    paying = TICKER | {
        "instrument_name": "BTC-PERPETUAL",
        "mark_price": 3940.06,
        "index_price": 3941.73,
        "current_funding": -1.5e-06,
        "funding_8h": 2.8e-05,
    }
    _, held, funding = parse(frame("ticker.BTC-PERPETUAL.100ms", paying)).records
    assert isinstance(held, OpenInterest)
    assert isinstance(funding, Funding)
    assert (funding.instrument, funding.channel) == ("deribit:BTC-USD-PERP", "ticker.100ms")
    assert (funding.rate, funding.interval_seconds, funding.next_funding_time) == (-1_500_000, 28_800, None)
    assert (funding.mark_price, funding.index_price) == (3940_060_000_000_000, 3941_730_000_000_000)
    assert funding.exchange_time == 1_626_993_723_632_000
    nothing = parse(frame("ticker.BTC-PERPETUAL.100ms", paying | {"current_funding": 0.0})).records[-1]
    assert isinstance(nothing, Funding)
    assert nothing.rate == 0
    assert not fundings(frame("ticker.BTC-PERPETUAL.100ms", paying | {"current_funding": None}))
    assert not fundings(ticker(current_funding=0.1))
    with pytest.raises(DataValidationError) as caught:
        parse(frame("ticker.BTC-PERPETUAL.100ms", paying | {"current_funding": "x"}))
    assert (caught.value.reason, caught.value.field) == ("wrong_type", "rate")


def test_trade_has_the_takers_side_the_venues_id_and_the_number_of_its_instrument() -> None:
    first, second = parse(trades(TRADE, TRADE | {"trade_seq": 30289443, "trade_id": "48079270", "direction": "buy"})).records
    assert isinstance(first, Trade)
    assert (first.instrument, first.trade_id, first.sequence) == ("deribit:BTC-USD-PERP", "48079269", 30289442)
    assert (first.side, first.price, first.size) == ("sell", 8950 * ONE, 10 * ONE)
    assert first.exchange_time == 1_590_484_512_188_000
    assert isinstance(second, Trade)
    assert (second.sequence, second.side) == (30289443, "buy")
    assert parse(trades(TRADE)).name == "trades.100ms"
    reader = parser()
    assert isinstance(reader, SequencedParser)
    assert set(reader.sequenced) == {"trades.100ms", "trades.raw", "trades.agg2"}


def test_ticker_of_an_option_has_the_best_levels_and_the_last_day() -> None:
    quote = only(ticker())
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.channel) == ("deribit:BTC-USD-210730-24000-P", "ticker.raw")
    assert (quote.bid, quote.bid_size) == (2_000_000_000, 91_600_000_000_000)
    assert (quote.ask, quote.ask_size, quote.last) == (2_500_000_000, 13_700_000_000_000, 2_500_000_000)
    assert (quote.high_24h, quote.low_24h, quote.volume_24h) == (3_500_000_000, 2_000_000_000, 193_400_000_000_000)
    assert (quote.change_percent_24h, quote.exchange_time) == (-28_571_400_000_000, 1_626_993_723_632_000)
    assert (quote.mark_price, quote.index_price) == (2_220_140_000, None)


def test_mark_price_with_more_digits_than_are_kept_takes_no_others_with_it() -> None:
    quote = only(ticker(mark_price=0.0000000000001, index_price=32_341.5))
    assert (quote.mark_price, quote.index_price, quote.bid) == (None, 32_341_500_000_000_000, 2_000_000_000)


def test_side_without_orders_is_none() -> None:
    nothing = {"best_bid_price": 0.0, "best_bid_amount": 0.0, "best_ask_price": None, "best_ask_amount": 0.0}
    quote = only(ticker(**nothing, stats={"volume": None, "price_change": None, "low": None, "high": None}, last_price=None))
    assert {quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.last, quote.volume_24h, quote.high_24h} == {None}


def test_change_names_the_one_before_it() -> None:
    snapshot, change = only(book(BOOK)), only(book(CHANGE))
    assert isinstance(change, Depth)
    assert (snapshot.kind, snapshot.last_sequence, snapshot.previous_sequence) == (DepthKind.SNAPSHOT, 13169025645, None)
    assert (change.kind, change.last_sequence, change.previous_sequence) == (DepthKind.DELTA, 13169025700, 13169025645)
    assert [level[:2] for level in change.bids] == [(1_500_000_000, 0), (1_000_000_000, 5 * ONE)]
    reader = parser()
    assert isinstance(reader, BookParser)
    assert (reader.book_rules("book.raw").step, reader.book_rules("book.raw").fetched) == (by_previous_if_named, False)


def test_recorded_change_that_is_left_out_ends_the_book() -> None:
    items = list(read_recordings(DERIBIT))
    told = [number for number, item in enumerate(items) if isinstance(item, Frame) and b"book.BTC-24SEP21-8000-P" in item.data]
    assert len(told) == 32  # the answer to the subscription, a snapshot and 30 changes
    without = told[12]
    records = played(items[:without] + items[without + 1 :], playback=Playback(feeds.load("deribit")))
    states = [record.state for record in records if isinstance(record, Depth) and "8000" in record.instrument]
    assert states == [BookState.LIVE] * 11 + [BookState.GAP] * 19


@pytest.mark.parametrize(
    ("symbol", "instrument"),
    [
        *(("BTC-PERPETUAL", "BTC-USD-PERP"), ("SOL_USDC-PERPETUAL", "SOL-USDC-PERP"), ("BTC_USDC", "BTC-USDC")),
        *(("BTC-24SEP21", "BTC-USD-210924"), ("BTC-5AUG22", "BTC-USD-220805"), ("ETH-23JUL21-2300-C", "ETH-USD-210723-2300-C")),
        ("XRP_USDC-30JUN26-0d625-P", "XRP-USDC-260630-0.625-P"),
    ],
)
def test_symbol_says_the_instrument_by_its_form(symbol: str, instrument: str) -> None:
    quote = only(frame(f"ticker.{symbol}.100ms", TICKER | {"instrument_name": symbol}))
    assert (quote.instrument, quote.channel) == (f"deribit:{instrument}", "ticker.100ms")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"jsonrpc":"2.0","id":0,"result":["book.ETH-30JUL21-2800-C.raw"],"usDiff":581,"testnet":false}', "reply"),
        (b'{"jsonrpc":"2.0","id":0,"result":{"version":"1.2.26"}}', "reply"),
        (b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}', "heartbeat"),
        (frame("quote.BTC-PERPETUAL", {}), "quote"),
        (frame("deribit_price_index.btc_usd", {}), "deribit_price_index"),
    ],
)
def test_what_is_no_data_has_a_name(data: bytes, name: str) -> None:
    assert parse(data) == Parsed(name, ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (b'{"jsonrpc":"2.0","method":"rumours"}', "unknown_stream", "method"),
        (frame("rumours.BTC-PERPETUAL", {}), "unknown_stream", "channel"),
        (frame("book.BTC-PERPETUAL.none.10.100ms", {}), "unknown_symbol", "symbol"),
        (b'{"method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.raw"}}', "missing_field", "data"),
        (frame("ticker.BTC-30FOO21.raw", TICKER), "unknown_symbol", "symbol"),
        (frame("ticker.BTC-31JUN21.raw", TICKER), "unknown_symbol", "symbol"),
        (frame("ticker.BTC-FS-24SEP21_PERP.raw", TICKER), "unknown_symbol", "symbol"),
        (frame("ticker.BTC-24SEP21-8000-X.raw", TICKER), "unknown_symbol", "symbol"),
        (ticker(instrument_name="BTC-PERPETUAL"), "symbol_mismatch", "instrument_name"),
        (ticker(best_bid_price="0.002"), "wrong_type", "bid"),
        (trades(TRADE | {"instrument_name": "ETH-PERPETUAL"}), "symbol_mismatch", "instrument_name"),
        (trades(TRADE | {"direction": "both"}), "unknown_side", "side"),
        (trades(TRADE | {"amount": None}), "missing_field", "size"),
        (book(BOOK, type="rumour"), "unknown_action", "type"),
        (book(BOOK, bids=[["guess", 1, 1]]), "unknown_action", "level"),
        (book(BOOK, bids=[["new", 1, None]]), "missing_field", "amount"),
        (book(BOOK, change_id=None), "wrong_type", "change_id"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert (caught.value.reason, caught.value.field) == (reason, field)


CANDLE: dict[str, object] = {  # as documented
    "volume": 0.05219351,
    "tick": 1573645080000,
    "open": 8869.79,
    "low": 8788.25,
    "high": 8870.31,
    "cost": 460,
    "close": 8791.25,
}


def kline_frame(data: dict[str, object], resolution: str = "1") -> bytes:
    params = {"channel": f"chart.trades.BTC-PERPETUAL.{resolution}", "data": data}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params}).encode()


def read_kline(data: dict[str, object]) -> Parsed:
    return VENUE.parser("v2", {}, 5_000_000).parse(kline_frame(data), 1_573_645_100_000_000)


def test_a_kline_has_its_volume_in_the_base_currency_and_its_cost_as_amount() -> None:
    parsed = read_kline(CANDLE)
    (kline,) = parsed.records
    assert isinstance(kline, Kline)
    assert parsed.name == "chart.trades.1"
    assert (kline.instrument, kline.interval, kline.open_time) == ("deribit:BTC-USD-PERP", "1m", 1_573_645_080_000_000)
    told = [format_decimal(figure) for figure in (kline.open, kline.high, kline.low, kline.close)]
    assert [float(figure) for figure in told] == [8869.79, 8870.31, 8788.25, 8791.25]
    assert (kline.volume, kline.amount, kline.is_closed) == (52_193_510_000, 460 * 10**24, False)


def test_klines_are_subscribed_to_by_their_resolution() -> None:
    stream = Subscription("deribit:SOL-USDC-PERP", "chart.trades.60")
    VENUE.check([stream])
    (request,) = VENUE.requests([stream], 7, 0, subscribe=True)
    assert json.loads(request.message)["params"] == {"channels": ["chart.trades.SOL_USDC-PERPETUAL.60"]}


def test_klines_of_other_resolutions_are_counted_alone() -> None:
    assert VENUE.parser("v2", {}, 5_000_000).parse(kline_frame(CANDLE, "10"), 1_573_645_100_000_000) == Parsed("chart", ())


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "tick"])
def test_a_kline_without_a_figure_is_refused(field: str) -> None:
    with pytest.raises(DataValidationError):
        read_kline({name: value for name, value in CANDLE.items() if name != field})
