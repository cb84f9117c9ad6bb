"""Frames of Bitget, as recorded on 2022-04-07, and what each becomes."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import Parsed, Parser
from market.decimals import ONE
from market.depth import DepthKind
from market.errors import DataValidationError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import Trade

VENUE = feeds.load("bitget")
AT = 1_649_290_090_000_000
TRADES = [["1649290076333", "0.00003507", "271967", "sell"], ["1649290070329", "0.00003511", "196500", "buy"]]
SPOT_TICKER = {
    "instId": "EOSUSDT",
    "last": "2.4383",
    "open24h": "2.5667",
    "high24h": "2.5767",
    "low24h": "2.4155",
    "bestBid": "2.436700",
    "bestAsk": "2.440900",
    "baseVolume": "145518.8442",
    "quoteVolume": "378707.9474",
    "ts": 1649290076034,
    "labeId": 0,
}
TICKER = {
    "instId": "UNIUSDT",
    "last": "9.9640",
    "bestAsk": "9.969",
    "bestBid": "9.964",
    "high24h": "10.4280",
    "low24h": "9.9030",
    "priceChangePercent": "-0.0404",
    "capitalRate": "-0.000100",
    "nextSettleTime": 1649314800000,
    "systemTime": 1649290077297,
    "markPrice": "9.9624",
    "indexPrice": "9.9715",
    "holding": "369411",
    "baseVolume": "313070",
    "quoteVolume": "3294315",
}
BOOK = {"asks": [["0.00003614", "600000"]], "bids": [["0.00004010", "0"]], "checksum": -1816604544, "ts": "1649290077611"}


def frame(channel: str, *data: Any, inst: str = "CULTUSDT", market: str = "sp", action: str = "update") -> bytes:
    arg = {"instType": market, "channel": channel, "instId": inst}
    return json.dumps({"action": action, "arg": arg, "data": data}).encode()


def parser() -> Parser:
    return VENUE.parser(None, {}, 5_000_000)


def only(data: bytes) -> Any:
    (record,) = parser().parse(data, AT).records
    return record


def told(kind: type[Any], **changed: Any) -> list[Any]:
    """The records of a kind in a perpetual's ticker, whose fields are left out where they are None."""
    fields = {name: value for name, value in (TICKER | changed).items() if value is not None}
    records = parser().parse(frame("ticker", fields, inst="UNIUSDT", market="mc"), AT).records
    return [record for record in records if isinstance(record, kind)]


def test_trades_told_after_subscribing_come_oldest_first() -> None:
    trades = parser().parse(frame("trade", *TRADES, action="snapshot"), AT).records
    assert [(trade.exchange_time, trade.side, trade.sequence) for trade in trades if isinstance(trade, Trade)] == [
        (1_649_290_070_329_000, "buy", 1),
        (1_649_290_076_333_000, "sell", 2),
    ]


def test_trade_without_an_id_has_the_same_one_when_it_is_told_again() -> None:
    twin, other = TRADES[0], [*TRADES[0][:3], "buy"]
    first, again = parser(), parser()
    told = [trade for data in (twin, other, twin) for trade in first.parse(frame("trade", data), AT).records]
    repeated = again.parse(frame("trade", twin, other, twin, action="snapshot"), AT).records
    assert {trade.trade_id for trade in told if isinstance(trade, Trade)} == {
        trade.trade_id for trade in repeated if isinstance(trade, Trade)
    }
    assert len(told) == len({trade.trade_id for trade in told if isinstance(trade, Trade)}) == 3


def test_market_of_a_frame_tells_pair_from_contract() -> None:
    assert only(frame("trade", TRADES[0])).instrument == "bitget:CULT-USDT"
    assert only(frame("trade", TRADES[0], market="mc")).instrument == "bitget:CULT-USDT-PERP"


def test_ticker_of_spot() -> None:
    quote = only(frame("ticker", SPOT_TICKER, inst="EOSUSDT"))
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.ask, quote.open_24h) == (2_436700000000, None, 2_440900000000, 2_566700000000)
    assert (quote.exchange_time, quote.change_percent_24h) == (1_649_290_076_034_000, None)


def test_ticker_of_contracts_has_its_change_in_per_cent() -> None:
    (quote,) = told(Quote)
    assert (quote.change_percent_24h, quote.open_24h) == (-4_040000000000, None)
    assert (quote.volume_24h, quote.amount_24h, quote.exchange_time) == (313070 * ONE, 3294315 * 10**24, 1_649_290_077_297_000)


def test_ticker_of_contracts_tells_funding_and_open_interest() -> None:
    at, symbol = 1_649_290_077_297_000, "bitget:UNI-USDT-PERP"
    assert told(Funding) == [
        Funding(symbol, "ticker", -100000000, 1_649_314_800_000_000, None, 9_962400000000, 9_971500000000, at, AT)
    ]
    assert told(OpenInterest) == [OpenInterest(symbol, "ticker", 369411 * ONE, None, at, AT)]


def test_ticker_of_contracts_tells_no_more_than_it_says() -> None:
    (funding,) = told(Funding, nextSettleTime=None, markPrice=None, indexPrice="")
    assert (funding.next_funding_time, funding.mark_price, funding.index_price) == (None, None, None)
    assert not told(Funding, capitalRate=None)
    assert not told(Funding, capitalRate="")
    assert not told(OpenInterest, holding=None)
    assert [funding.rate for funding in told(Funding, capitalRate="0")] == [0]
    assert [one.open_interest for one in told(OpenInterest, holding="0")] == [0]


def test_book_message_keeps_the_texts_for_its_checksum() -> None:
    depth = only(frame("books", BOOK))
    assert (depth.kind, depth.checksum) == (DepthKind.DELTA, -1816604544)
    assert [level.text for level in (*depth.bids, *depth.asks)] == ["0.00004010:0", "0.00003614:600000"]


def test_klines_that_another_one_follows_are_closed() -> None:
    rows = [
        ["1649290020000", "9.97", "9.977", "9.961", "9.977", "47"],
        ["1649290080000", "9.977", "9.977", "9.977", "9.977", "0"],
    ]
    klines = parser().parse(frame("candle1m", *rows, inst="UNIUSDT", market="mc"), AT).records
    assert [(k.open_time, k.volume, k.is_closed, k.amount) for k in klines if isinstance(k, Kline)] == [
        (1_649_290_020_000_000, 47 * ONE, True, None),
        (1_649_290_080_000_000, 0, False, None),
    ]


def test_listing_names_what_the_form_of_a_symbol_does_not_tell() -> None:
    rows = [
        {"symbol": "BTCPERP_CMCBL", "baseCoin": "BTC", "quoteCoin": "USDC"},
        {"symbol": "\N{CJK UNIFIED IDEOGRAPH-6BD4}_X", "baseCoin": "", "quoteCoin": ""},
    ]
    answer = json.dumps({"data": rows}).encode()
    url = "https://api.bitget.com/api/mix/v1/market/contracts?productType=cmcbl"
    listed = {"mc": VENUE.listed(url, answer)}
    assert listed == {"mc": {"BTCPERP": "bitget:BTC-USDC-PERP"}}
    (trade,) = VENUE.parser(None, listed, 0).parse(frame("trade", TRADES[0], inst="BTCPERP", market="mc"), AT).records
    assert isinstance(trade, Trade)
    assert trade.instrument == "bitget:BTC-USDC-PERP"


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (frame("trade", TRADES[0], market="xx"), "unknown_market", "instType"),
        (frame("trade", TRADES[0], inst="CULTNOTHING"), "unknown_symbol", "symbol"),
        (frame("trade", TRADES[0][:3]), "wrong_type", "[0]"),
        (frame("trade", [*TRADES[0][:3], "none"]), "unknown_side", "side"),
        (frame("ticker", SPOT_TICKER), "symbol_mismatch", "instId"),
        (frame("ticker", TICKER | {"capitalRate": "low"}, inst="UNIUSDT", market="mc"), "not_a_decimal", "rate"),
        (frame("ticker", TICKER | {"holding": "-1"}, inst="UNIUSDT", market="mc"), "negative", "open_interest"),
        (frame("ticker", TICKER | {"nextSettleTime": 7}, inst="UNIUSDT", market="mc"), "bad_time", "next_funding_time"),
        (frame("books", BOOK, action="replace"), "unknown_action", "action"),
        (frame("candle1m", ["1649290020000", "9", "8", "10", "9", "1"]), "inconsistent", "low"),
        (frame("rumours"), "unknown_stream", "channel"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parser().parse(data, AT)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_replies_and_pongs_are_no_data() -> None:
    reply = b'{"event":"subscribe","arg":{"instType":"sp","channel":"books","instId":"CULTUSDT"}}'
    assert [parser().parse(data, AT) for data in (reply, b"pong")] == [Parsed("reply", ()), Parsed("pong", ())]
