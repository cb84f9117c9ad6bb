"""Recorded lists of instruments, against the rows read without any code of ours; and what becomes of wrong rows."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds
from ingest.defining import Defining
from ingest.playback import Playback
from ingest.recorded import Answer
from ingest.recordings import read_recordings
from ingest.rest import Unanswered
from ingest.rest_venue import DefiningVenue, RefusedRow, Request
from ingest.session import Session
from market.dead_letter import DeadLetter
from market.decimals import AMOUNT_SCALE, SCALE
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition, check_definition
from schemas.records import Record
from tests.ingest_parts import ALL_DATA, CRYPTOFEED, FUTURES_LISTING, NOW, SPOT_LISTING, FakeClock
from tests.venue_data import NO_WHOLE, WHOLE_BYBIT

Row = Mapping[str, Any]
Figures = tuple[str | None, str | None, str | None, str | None, str | None, bool | None]

WHOLE_OKX = ALL_DATA / "cryptofeed" / "OKX-20220513" / "OKX.0.gz"
RECORDED: dict[str, tuple[str, Path]] = {
    "binance spot": ("binance", SPOT_LISTING),
    "binance futures": ("binance", FUTURES_LISTING),
    "bitget": ("bitget", CRYPTOFEED / "BITGET-20220407" / "BITGET.0.gz"),
    "bitstamp": ("bitstamp", CRYPTOFEED / "BITSTAMP-20220105" / "BITSTAMP.0.gz"),
    "coinbase": ("coinbase", CRYPTOFEED / "COINBASE-20210417" / "COINBASE.0.gz"),
    "gateio": ("gateio", CRYPTOFEED / "GATEIO-20210422" / "GATEIO.0.gz"),
    "kraken": ("kraken", CRYPTOFEED / "KRAKEN-20210417" / "KRAKEN.0.gz"),
    "kraken_futures": ("kraken_futures", CRYPTOFEED / "KRAKEN_FUTURES-20210722" / "KRAKEN_FUTURES.0.gz"),
    **({"okx": ("okx", WHOLE_OKX)} if WHOLE_OKX.exists() else {}),
    **({"bybit": ("bybit", WHOLE_BYBIT[0])} if WHOLE_BYBIT else {}),
}
COUNTS = {
    "binance spot": 1_695,
    "binance futures": 122,
    "bitget": 304,
    "bitstamp": 140,
    "bybit": 800,
    "coinbase": 162,
    "gateio": 1_458,
    "kraken": 293,  # of 304, eleven of them dark pools
    "kraken_futures": 17,  # and ten indices
    "okx": 783,  # options are left out
}


def filter_of(row: Row, name: str) -> Row:
    found: Row = next(one for one in row["filters"] if one["filterType"] == name)
    return found


def of_binance(row: Row) -> Figures:
    lot, worth = filter_of(row, "LOT_SIZE"), filter_of(row, "MIN_NOTIONAL")
    notional = worth.get("minNotional") or worth["notional"]
    figures = filter_of(row, "PRICE_FILTER")["tickSize"], lot["stepSize"], lot["minQty"], notional
    return *figures, row.get("marginAsset"), row["status"] == "TRADING"


def of_bybit(row: Row) -> Figures:
    lot = row["lotSizeFilter"]
    figures = row["priceFilter"]["tickSize"], lot["qtyStep"], lot["minOrderQty"], lot.get("minNotionalValue")
    return *figures, row["settleCoin"], row["status"] == "Trading"


def of_okx(row: Row) -> Figures:
    return row["tickSz"], row["lotSz"], row["minSz"], None, row["settleCcy"] or None, row["state"] == "live"


def of_bitget(row: Row) -> Figures:
    if "pricePlace" in row:
        tick = str(Decimal(row["priceEndStep"]).scaleb(-int(row["pricePlace"])))
        coins = row["supportMarginCoins"]
        lot = str(Decimal(1).scaleb(-int(row["volumePlace"])))
        return tick, lot, row["minTradeNum"], None, coins[0] if len(coins) == 1 else None, None
    places = (str(Decimal(1).scaleb(-int(row[name]))) for name in ("priceScale", "quantityScale"))
    return *places, row["minTradeAmount"], None, None, row["status"] == "online"


def of_gateio(row: Row) -> Figures:
    tick, lot = (str(Decimal(1).scaleb(-row[name])) for name in ("precision", "amount_precision"))
    return tick, lot, None, row.get("min_quote_amount"), None, row["trade_status"] == "tradable"


def of_kraken(row: Row) -> Figures:
    tick, lot = (str(Decimal(1).scaleb(-row[name])) for name in ("pair_decimals", "lot_decimals"))
    return tick, lot, row.get("ordermin"), None, None, None


def of_coinbase(row: Row) -> Figures:
    figures = row["quote_increment"], row["base_increment"], row["base_min_size"], None, None
    return *figures, row["status"] == "online" and not row["limit_only"]


def of_bitstamp(row: Row) -> Figures:
    tick, lot = (str(Decimal(1).scaleb(-row[name])) for name in ("counter_decimals", "base_decimals"))
    return tick, lot, None, row["minimum_order"].split()[0], None, row["instant_and_market_orders"] == "Enabled"


def of_kraken_futures(row: Row) -> Figures:
    """All that was recorded are inverse contracts."""
    return str(row["tickSize"]), None, None, None, row["symbol"][3:6].upper().replace("XBT", "BTC"), row["tradeable"]


READERS: dict[str, tuple[Callable[[Row], Figures], str]] = {
    "binance": (of_binance, "symbol"),
    "bitstamp": (of_bitstamp, "url_symbol"),
    "bybit": (of_bybit, "symbol"),
    "coinbase": (of_coinbase, "id"),
    "okx": (of_okx, "instId"),
    "bitget": (of_bitget, "symbol"),
    "gateio": (of_gateio, "id"),
    "kraken": (of_kraken, "altname"),
    "kraken_futures": (of_kraken_futures, "symbol"),
}

LISTING = ("bitstamp", "coinbase", "gateio")
"""Venues whose answers are lists of rows and nothing else."""


def answers(path: Path) -> list[Answer]:
    return [item for item in read_recordings([path]) if isinstance(item, Answer)]


def rows_of(answer: Answer) -> Iterator[Row]:
    body = json.loads(answer.body)
    found = (
        body if isinstance(body, list) else body.get("symbols") or body.get("data") or body.get("instruments") or body["result"]
    )
    if isinstance(found, dict):
        found = found["list"] if "list" in found else found.values()
    yield from found


def defining(venue: str) -> DefiningVenue:
    found = feeds.load(venue)
    assert isinstance(found, DefiningVenue)
    return found


def unscaled(text: str | None, scale: int = SCALE) -> int | None:
    """Zero and nothing are no step."""
    return int(Decimal(text).scaleb(scale)) or None if text else None


@pytest.mark.parametrize("name", RECORDED)
def test_every_listed_instrument_is_defined_as_its_row_says(name: str) -> None:
    venue, path = RECORDED[name]
    reader, symbol = READERS[venue]
    rows = {row[symbol]: row for answer in answers(path) for row in rows_of(answer)}
    found = {
        one.instrument: one
        for answer in answers(path)
        for one in defining(venue).definitions(answer.url, answer.body, answer.at)
        if isinstance(one, InstrumentDefinition)
    }
    assert len(found) == COUNTS[name]
    for one in found.values():
        tick, lot, min_size, min_notional, settle, is_trading = reader(rows[one.venue_symbol])
        assert (one.tick_size, one.lot_size, one.min_size) == (unscaled(tick), unscaled(lot), unscaled(min_size)), one
        assert one.min_notional == unscaled(min_notional, AMOUNT_SCALE), one
        assert (one.settle_currency, one.is_trading, one.calendar) == (settle, is_trading, None), one
        assert check_definition(one) is one


@pytest.mark.parametrize("name", RECORDED)
def test_a_list_is_told_once_and_nothing_of_it_is_refused(name: str) -> None:
    venue, path = RECORDED[name]
    playback = Playback(feeds.load(venue))
    told = [record for item in answers(path) for record in playback.take(item)]
    assert not [record for record in told if isinstance(record, DeadLetter)]
    assert playback.session.counts.records[InstrumentDefinition] == COUNTS[name]
    again = [record for item in answers(path) for record in playback.take(item)]
    assert not [record for record in again if isinstance(record, InstrumentDefinition)]


@pytest.mark.skipif(not WHOLE_OKX.exists(), reason=NO_WHOLE)
def test_contracts_of_okx_say_what_they_stand_for_and_when_they_end() -> None:
    swap, future, linear = "okx:BTC-USD-PERP", "okx:BTC-USD-220520", "okx:BTC-USDT-PERP"
    found = {
        one.instrument: one
        for answer in answers(WHOLE_OKX)
        for one in defining("okx").definitions(answer.url, answer.body, answer.at)
        if isinstance(one, InstrumentDefinition)
    }
    assert (found[swap].multiplier, found[swap].multiplier_currency) == (100 * 10**SCALE, "USD")
    assert (found[linear].multiplier, found[linear].multiplier_currency) == (10**SCALE // 100, "BTC")
    assert (found[swap].expires_at, found[future].expires_at) == (None, 1_653_033_600_000_000)
    assert (found["okx:BTC-USDT"].multiplier, found["okx:BTC-USDT"].multiplier_currency) == (None, None)


PRODUCT: dict[str, Any] = {"id": "BTC-USD", "quote_increment": "0.01", "base_increment": "0.00000001", "status": "online"}


def of_products(*rows: Row) -> list[InstrumentDefinition | RefusedRow]:
    return list(defining("coinbase").definitions("https://api.exchange.coinbase.com/products", json.dumps(rows).encode(), NOW))


def test_products_of_coinbase_without_a_least_size_have_least_funds() -> None:
    (told,) = of_products(PRODUCT | {"min_market_funds": "1"})
    assert isinstance(told, InstrumentDefinition)
    assert (told.min_size, told.min_notional, told.is_trading) == (None, 10**AMOUNT_SCALE, True)


@pytest.mark.parametrize("flag", ["trading_disabled", "cancel_only", "post_only", "limit_only", "auction_mode"])
def test_a_product_of_coinbase_that_takes_some_orders_alone_is_not_trading(flag: str) -> None:
    (told,) = of_products(PRODUCT | {flag: True})
    assert isinstance(told, InstrumentDefinition)
    assert (told.status, told.is_trading) == ("online", False)


def test_a_pair_of_bitstamp_whose_least_order_is_in_another_currency_is_refused() -> None:
    (answer,) = answers(RECORDED["bitstamp"][1])
    (row, *_) = rows_of(answer)
    body = json.dumps([{**row, "minimum_order": "20.0 EUR"}]).encode()
    (told,) = defining("bitstamp").definitions(answer.url, body, NOW)
    assert isinstance(told, RefusedRow)
    assert (told.error.reason, told.error.field) == ("symbol_mismatch", "min_notional")


KRAKEN_FUTURES = "https://futures.kraken.com/derivatives/api/v3/instruments"
FLEXIBLE: dict[str, Any] = {
    "symbol": "PF_SHIBUSD",
    "type": "flexible_futures",
    "tickSize": 0.000000001,
    "contractSize": 1,
    "contractValueTradePrecision": -3,
    "tradeable": True,
    "postOnly": False,
}


def of_contracts(*rows: Row) -> dict[str, InstrumentDefinition]:
    found = defining("kraken_futures").definitions(KRAKEN_FUTURES, json.dumps({"instruments": rows}).encode(), NOW)
    return {one.instrument: one for one in found if isinstance(one, InstrumentDefinition)}


def test_linear_contracts_of_kraken_futures_are_of_the_base_currency_in_the_steps_told() -> None:
    (told,) = of_contracts(FLEXIBLE).values()
    assert told.instrument == "kraken_futures:SHIB-USD-FLEX-PERP"
    assert (told.tick_size, told.lot_size) == (10**SCALE // 10**9, 1_000 * 10**SCALE)
    assert (told.multiplier, told.multiplier_currency, told.settle_currency) == (10**SCALE, "SHIB", None)
    assert told.is_trading is True
    (held,) = of_contracts(FLEXIBLE | {"postOnly": True}).values()
    assert held.is_trading is False


def test_inverse_contracts_of_kraken_futures_are_of_dollars_and_end_where_they_do() -> None:
    (answer,) = answers(RECORDED["kraken_futures"][1])
    found = of_contracts(*rows_of(answer))
    perpetual, dated = found["kraken_futures:BTC-USD-PERP"], found["kraken_futures:BTC-USD-210924"]
    assert (perpetual.multiplier, perpetual.multiplier_currency) == (10**SCALE, "USD")
    assert (perpetual.expires_at, dated.expires_at) == (None, 1_632_495_600_000_000)
    assert perpetual.venue_symbol == "pi_xbtusd"


DERIBIT = "https://www.deribit.com/api/v2/public/get_instruments?currency=any&kind=future"
INVERSE: dict[str, Any] = {  # as documented
    "tick_size": 2.5,
    "tick_size_steps": [],
    "settlement_period": "month",
    "settlement_currency": "BTC",
    "quote_currency": "USD",
    "min_trade_amount": 10,
    "kind": "future",
    "is_active": True,
    "instrument_name": "BTC-29SEP23",
    "instrument_type": "reversed",
    "expiration_timestamp": 1695974400000,
    "contract_size": 10,
    "base_currency": "BTC",
    "state": "open",
}
LINEAR = INVERSE | {
    "instrument_name": "SOL_USDC-PERPETUAL",
    "instrument_type": "linear",
    "settlement_currency": "USDC",
    "expiration_timestamp": 32503708800000,
    "min_trade_amount": 0.1,
    "tick_size": 0.0001,
}


def of_deribit(*rows: Row) -> list[InstrumentDefinition | RefusedRow]:
    return list(defining("deribit").definitions(DERIBIT, json.dumps({"jsonrpc": "2.0", "result": rows}).encode(), NOW))


def test_inverse_contracts_of_deribit_are_of_dollars_and_linear_ones_of_their_base_currency() -> None:
    inverse, linear = of_deribit(INVERSE, LINEAR)
    assert isinstance(inverse, InstrumentDefinition)
    assert isinstance(linear, InstrumentDefinition)
    assert (inverse.instrument, linear.instrument) == ("deribit:BTC-USD-230929", "deribit:SOL-USDC-PERP")
    assert (inverse.tick_size, inverse.min_size, inverse.lot_size) == (25 * 10**SCALE // 10, 10 * 10**SCALE, None)
    assert (linear.tick_size, linear.min_size, linear.lot_size) == (10**SCALE // 10_000, 10**SCALE // 10, None)
    assert (inverse.multiplier, inverse.multiplier_currency, inverse.settle_currency) == (10**SCALE, "USD", "BTC")
    assert (linear.multiplier, linear.multiplier_currency, linear.settle_currency) == (None, None, "USDC")
    assert (inverse.expires_at, linear.expires_at) == (1_695_974_400_000_000, None)
    assert (inverse.status, inverse.is_trading) == ("open", True)


def test_pairs_of_deribit_are_settled_at_once_and_do_not_end() -> None:
    pair = {"instrument_name": "BTC_USDC", "kind": "spot", "tick_size": 0.01, "min_trade_amount": 0.0001, "is_active": True}
    (told,) = of_deribit(pair | {"settlement_currency": "USDC", "instrument_type": "reversed"})
    assert isinstance(told, InstrumentDefinition)
    assert (told.instrument, told.instrument_type, told.settle_currency) == ("deribit:BTC-USDC", "SPOT", None)
    assert (told.tick_size, told.min_size, told.expires_at) == (10**SCALE // 100, 10**SCALE // 10_000, None)
    assert (told.multiplier, told.multiplier_currency, told.is_trading) == (None, None, True)
    assert of_deribit(pair)[0] == told
    asked = [request.url for request in defining("deribit").definition_requests("v2")]
    assert [url.rpartition("=")[2] for url in asked] == ["future", "spot"]


@pytest.mark.parametrize(
    ("change", "status", "is_trading"),
    [({"state": "locked"}, "locked", False), ({"is_active": False}, "open", False), ({"state": None}, None, True)],
)
def test_a_contract_of_deribit_is_trading_while_it_is_active_and_open(
    change: Row, status: str | None, is_trading: bool
) -> None:
    (told,) = of_deribit({**INVERSE, **change})
    assert isinstance(told, InstrumentDefinition)
    assert (told.status, told.is_trading) == (status, is_trading)


@pytest.mark.parametrize("name", ["BTC-29SEP23-30000-C", "BTC-FS-29SEP23_PERP"])
def test_what_is_neither_future_nor_pair_of_deribit_is_left_out(name: str) -> None:
    assert of_deribit(INVERSE | {"instrument_name": name}) == []


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("instrument_type", "quanto", "unknown_type"),
        ("tick_size", "much", "wrong_type"),
        ("expiration_timestamp", None, "missing_field"),
    ],
)
def test_a_wrong_contract_of_deribit_is_refused_by_its_field(field: str, value: object, reason: str) -> None:
    wrong, right = of_deribit(INVERSE | {field: value}, LINEAR)
    assert isinstance(wrong, RefusedRow)
    assert isinstance(right, InstrumentDefinition)
    assert wrong.error.reason == reason


BYBIT = "https://api.bybit.com/v5/market/instruments-info?category="
INVERSE_OF_BYBIT: dict[str, Any] = {  # as documented
    "symbol": "BTCUSDU26",
    "contractType": "InverseFutures",
    "status": "Trading",
    "baseCoin": "BTC",
    "quoteCoin": "USD",
    "deliveryTime": "1790323200000",
    "priceFilter": {"minPrice": "0.50", "maxPrice": "999999.00", "tickSize": "0.50"},
    "lotSizeFilter": {"maxOrderQty": "2000000", "minOrderQty": "1", "qtyStep": "1"},
    "settleCoin": "BTC",
}
PAIR_OF_BYBIT: dict[str, Any] = {  # as documented
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "innovation": "0",
    "status": "Trading",
    "lotSizeFilter": {
        "basePrecision": "0.000001",
        "quotePrecision": "0.0000001",
        "minOrderQty": "0.000011",
        "minOrderAmt": "5",
    },
    "priceFilter": {"tickSize": "0.1"},
}


def page_of_bybit(*rows: Row, cursor: str = "") -> bytes:
    return json.dumps({"retCode": 0, "result": {"list": rows, "nextPageCursor": cursor}}).encode()


def of_bybits(market: str, *rows: Row) -> list[InstrumentDefinition | RefusedRow]:
    return list(defining("bybit").definitions(f"{BYBIT}{market}", page_of_bybit(*rows), NOW))


def test_inverse_contracts_of_bybit_are_of_dollars_and_settled_in_their_base_currency() -> None:
    endless = {"symbol": "BTCUSD", "contractType": "InversePerpetual", "deliveryTime": "0"}
    dated, perpetual = of_bybits("inverse", INVERSE_OF_BYBIT, INVERSE_OF_BYBIT | endless)
    assert isinstance(dated, InstrumentDefinition)
    assert isinstance(perpetual, InstrumentDefinition)
    assert (dated.instrument, perpetual.instrument) == ("bybit:BTC-USD-260925", "bybit:BTC-USD-PERP")
    assert (dated.expires_at, perpetual.expires_at) == (1_790_323_200_000_000, None)
    assert (dated.tick_size, dated.lot_size, dated.min_size) == (10**SCALE // 2, 10**SCALE, 10**SCALE)
    assert (dated.multiplier, dated.multiplier_currency, dated.settle_currency) == (10**SCALE, "USD", "BTC")
    assert (dated.min_notional, dated.is_trading) == (None, True)


def test_pairs_of_bybit_have_a_least_amount_and_no_least_size() -> None:
    (pair,) = of_bybits("spot", PAIR_OF_BYBIT)
    assert isinstance(pair, InstrumentDefinition)
    assert (pair.instrument, pair.instrument_type, pair.settle_currency) == ("bybit:BTC-USDT", "SPOT", None)
    assert (pair.tick_size, pair.lot_size, pair.min_size) == (10**SCALE // 10, 10**SCALE // 10**6, None)
    assert (pair.min_notional, pair.multiplier, pair.is_trading) == (5 * 10**AMOUNT_SCALE, None, True)


@pytest.mark.parametrize(
    ("market", "row", "reason"),
    [
        ("spot", PAIR_OF_BYBIT | {"priceFilter": {"tickSize": "much"}}, "not_a_decimal"),
        ("spot", INVERSE_OF_BYBIT, "missing_field"),
        ("inverse", INVERSE_OF_BYBIT | {"settleCoin": None}, "wrong_type"),
    ],
)
def test_a_wrong_row_of_bybit_is_refused(market: str, row: Row, reason: str) -> None:
    (told,) = of_bybits(market, row)
    assert isinstance(told, RefusedRow)
    assert told.error.reason == reason


def test_names_outside_our_alphabet_are_left_out_of_bybits_lists() -> None:
    assert of_bybits("spot", PAIR_OF_BYBIT | {"baseCoin": "比特"}) == []
    assert of_bybits("inverse", INVERSE_OF_BYBIT | {"deliveryTime": "soon"}) == []


def test_a_list_of_pages_is_asked_for_until_its_last() -> None:
    second = INVERSE_OF_BYBIT | {"symbol": "BTCUSD", "contractType": "InversePerpetual"}
    pages = [
        page_of_bybit(INVERSE_OF_BYBIT, cursor="first%3DBTCUSDU26%26last%3DBTCUSDU26"),
        page_of_bybit(second, cursor="first%3DBTCUSD%26last%3DBTCUSD"),
        page_of_bybit(),
    ]
    told, asked = run_until_answers_end("bybit", "inverse", *pages)
    found = [one.instrument for one in told if isinstance(one, InstrumentDefinition)]
    assert found == ["bybit:BTC-USD-260925", "bybit:BTC-USD-PERP"]
    first = f"{BYBIT}inverse&limit=1000"
    assert [request.url for request in asked] == [
        first,
        f"{first}&cursor=first%3DBTCUSDU26%26last%3DBTCUSDU26",
        f"{first}&cursor=first%3DBTCUSD%26last%3DBTCUSD",
        first,  # an hour later
    ]


def test_a_cursor_that_does_not_go_on_ends_a_list() -> None:
    stuck = page_of_bybit(INVERSE_OF_BYBIT, cursor="again")
    _, asked = run_until_answers_end("bybit", "linear", stuck, stuck, b"nonsense")
    first = f"{BYBIT}linear&limit=1000"
    assert [request.url for request in asked] == [first, f"{first}&cursor=again", first, first]


BITFINEX = "https://api-pub.bitfinex.com/v2/conf/pub:info:pair,pub:info:pair:futures"
FIGURES = [None, None, None, "0.02", "5000.0", None, None, None, 0.2, 0.1, None]  # as documented


def of_bitfinex(*lists: list[object]) -> list[InstrumentDefinition | RefusedRow]:
    return list(defining("bitfinex").definitions(BITFINEX, json.dumps(lists).encode(), NOW))


def test_pairs_and_perpetuals_of_bitfinex_have_a_least_size_and_no_step_of_prices() -> None:
    told = of_bitfinex([["BTCUSD", FIGURES], ["AAVE:UST", FIGURES]], [["BTCF0:USTF0", FIGURES]])
    defined = [one for one in told if isinstance(one, InstrumentDefinition)]
    assert [(one.instrument, one.venue_symbol) for one in defined] == [
        ("bitfinex:BTC-USD", "tBTCUSD"),
        ("bitfinex:AAVE-USDT", "tAAVE:UST"),
        ("bitfinex:BTC-USDT-PERP", "tBTCF0:USTF0"),
    ]
    assert {one.min_size for one in defined} == {10**SCALE // 50}
    unknown = {(one.tick_size, one.lot_size, one.min_notional, one.multiplier, one.is_trading) for one in defined}
    assert unknown == {(None, None, None, None, None)}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["BTCUSD", [None, None, None, "much"]], "not_a_decimal"),
        (["BTCUSD", [None, None, None]], "missing_field"),
        (["BTCUSD", [None, None, None, {}]], "wrong_type"),
        (["BTCUSD"], "wrong_type"),
        ({"pair": "BTCUSD"}, "wrong_type"),
    ],
)
def test_a_wrong_row_of_bitfinex_is_refused_and_spoils_no_other(row: object, reason: str) -> None:
    wrong, right = of_bitfinex([row, ["ETHUSD", [None, None, None, None]]])
    assert isinstance(wrong, RefusedRow)
    assert isinstance(right, InstrumentDefinition)
    assert (wrong.error.reason, right.min_size) == (reason, None)


def test_names_outside_our_alphabet_are_left_out_of_bitfinexs_lists() -> None:
    assert of_bitfinex([["BTC", FIGURES], ["比特:USD", FIGURES]]) == []


def test_dated_contracts_of_binance_end_and_perpetuals_do_not() -> None:
    (answer,) = answers(FUTURES_LISTING)
    found = {
        one.instrument: one.expires_at
        for one in defining("binance").definitions(answer.url, answer.body, answer.at)
        if isinstance(one, InstrumentDefinition)
    }
    assert found["binance:BTC-USDT-PERP"] is None
    assert found["binance:BTC-USDT-210924"] == 1_632_470_400_000_000


BINANCE = "https://api.binance.com/api/v3/exchangeInfo"
SPOT_ROW: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00001000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
    ],
}


def listed(*rows: object) -> bytes:
    return json.dumps({"symbols": rows}).encode()


def test_row_that_is_wrong_spoils_no_other_and_is_refused_once() -> None:
    wrong = SPOT_ROW | {"filters": [{"filterType": "PRICE_FILTER", "tickSize": "much"}], "baseAsset": "ETH"}
    playback = Playback(feeds.load("binance"))
    answer = Answer(NOW, BINANCE, listed(wrong, {"symbol": "AB", "baseAsset": "A", "quoteAsset": "B"}, SPOT_ROW))
    letters, others = split(playback.take(answer))
    assert [(letter.reason, letter.field, letter.source) for letter in letters] == [
        ("not_a_decimal", "tick_size", "binance:instruments"),
        ("missing_field", "status", "binance:instruments"),
    ]
    assert json.loads(letters[0].value or b"") == wrong
    assert [one.min_notional for one in others] == [5 * 10**AMOUNT_SCALE]
    assert split(playback.take(answer)) == ([], [])


def split(records: list[Record]) -> tuple[list[DeadLetter], list[InstrumentDefinition]]:
    letters = [record for record in records if isinstance(record, DeadLetter)]
    return letters, [record for record in records if isinstance(record, InstrumentDefinition)]


def test_what_changed_is_told_again_and_nothing_else() -> None:
    session, venue = Session("binance", ()), defining("binance")
    other = SPOT_ROW | {"symbol": "ETHUSDT", "baseAsset": "ETH"}
    assert len(session.defined(venue.definitions(BINANCE, listed(SPOT_ROW, other), NOW), NOW)) == 2
    halted = SPOT_ROW | {"status": "BREAK"}
    (told,) = session.defined(venue.definitions(BINANCE, listed(halted, other), NOW + 5), NOW + 5)
    assert isinstance(told, InstrumentDefinition)
    assert (told.instrument, told.status, told.is_trading, told.received_at) == ("binance:BTC-USDT", "BREAK", False, NOW + 5)


@pytest.mark.parametrize("venue", [*sorted(READERS), "bitfinex"])
def test_other_answers_define_nothing(venue: str) -> None:
    found = defining(venue)
    for url in ("https://example.com/api/v3/exchangeInfo", "https://api.binance.com/api/v3/depth", "nonsense"):
        assert list(found.definitions(url, b"{}", NOW)) == []


@pytest.mark.parametrize("venue", [*sorted(READERS), "bitfinex", "deribit"])
def test_lists_are_asked_for_where_their_answers_are_read(venue: str) -> None:
    found = defining(venue)
    requests = [request for market in found.markets for request in found.definition_requests(market)]
    assert requests
    empty: dict[str, Any] = {"deribit": {"result": []}, "kraken": {"result": {}}, "bybit": {"result": {"list": []}}} | {
        name: [] for name in (*LISTING, "bitfinex")
    }
    body = json.dumps(empty.get(venue, {"symbols": [], "data": [], "instruments": []})).encode()
    for request in requests:
        assert found.market_of(request.url) == request.market
        assert list(found.definitions(request.url, body, NOW)) == []
        with pytest.raises(DataValidationError):
            list(found.definitions(request.url, b"nonsense", NOW))
        assert found.quota(request.market)


@given(st.sampled_from(sorted(set(RECORDED) - {"okx", "bybit"})), st.data())
def test_any_change_of_a_row_is_defined_or_refused(name: str, data: st.DataObject) -> None:
    venue, path = RECORDED[name]
    row = dict(data.draw(st.sampled_from(some_rows(path))))
    field = data.draw(st.sampled_from(sorted(row)))
    row[field] = data.draw(st.none() | st.integers() | st.text(max_size=8) | st.just([]) | st.sampled_from(["0", "-1", "1e99"]))
    url = answers(path)[0].url
    body: Any = {"symbols": [row], "data": [row], "instruments": [row], "result": {"A": row}}
    for one in defining(venue).definitions(url, json.dumps([row] if venue in LISTING else body).encode(), NOW):
        if isinstance(one, RefusedRow):
            assert one.error.reason
            assert json.loads(one.data) == row
        else:
            assert check_definition(one) is one


ROWS: dict[Path, list[Row]] = {}


def some_rows(path: Path) -> list[Row]:
    if path not in ROWS:
        ROWS[path] = [row for row, _ in zip(rows_of(answers(path)[0]), range(5), strict=False)]
    return ROWS[path]


class Rest:
    """Gives its answers in turn, an error where one is."""

    def __init__(self, *given: bytes | Exception) -> None:
        self.given = list(given)
        self.asked: list[Request] = []

    async def get(self, request: Request) -> bytes:
        self.asked.append(request)
        answer = self.given.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Recorded:
    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def answered(self, _at: int, _url: str, body: bytes) -> None:
        self.answers.append(body)


def run_until_answers_end(
    venue: str, market: str, *given: bytes | Exception, clock: FakeClock | None = None, recorder: Recorded | None = None
) -> tuple[list[Record], list[Request]]:
    """What is told of these answers, and what was asked for: a request more than there are answers."""
    rest, told = Rest(*given), list[Record]()

    async def room() -> bool:
        return False

    async def run() -> None:
        work = Defining(
            Session(venue, ()),
            clock or FakeClock(),
            defining(venue),
            rest,  # type: ignore[arg-type]  # it does what is used
            markets=lambda: [market, market],
            put=told.extend,
            room=room,
            recorder=recorder,  # type: ignore[arg-type]  # it does what is used
            seconds=3600,
        )
        with pytest.raises(IndexError):  # when there are no more answers
            await work.run()

    asyncio.run(run())
    return told, rest.asked


def test_lists_are_asked_for_until_they_come_and_then_once_in_a_while() -> None:
    halted = listed(SPOT_ROW | {"status": "BREAK"})
    given = Unanswered("down"), listed(SPOT_ROW), listed(SPOT_ROW), b"nonsense", halted
    clock, recorder = FakeClock(), Recorded()
    told, asked = run_until_answers_end("binance", "spot", *given, clock=clock, recorder=recorder)
    first, letter, second = told
    assert isinstance(first, InstrumentDefinition)
    assert isinstance(letter, DeadLetter)
    assert isinstance(second, InstrumentDefinition)
    assert (first.status, letter.reason, second.status) == ("TRADING", "malformed_json", "BREAK")
    assert {request.url for request in asked} == {BINANCE}
    assert clock.pauses[1:] == [3600] * 4
    assert 0 < clock.pauses[0] < 10
    assert recorder.answers == [listed(SPOT_ROW), b"nonsense", halted]
