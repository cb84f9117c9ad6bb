"""What easyquotation, efinance and akshare return becomes quotes in shares and yuan, of instruments whose market is told."""

import json
import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy
import pandas  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feed import Parsed, Told
from ingest.feeds import eastmoney, sina, tencent
from ingest.feeds._cn_snapshots import Row, quote_of
from ingest.libraries import akshare, easyquotation, efinance
from ingest.libraries._rows import figure
from market.decimals import ONE, format_decimal, parse_decimal
from market.errors import DataValidationError
from market.feed_status import FeedState
from market.quote import Quote
from tests.cn_parts import CN, FIGURES, eastmoney_answer, recorded, tencent_row

LATER = 1_800_000_000_000_000
SKEW = 5_000_000
SHANGHAI = timezone(timedelta(hours=8))
LIBRARIES: dict[str, Any] = json.loads((CN / "libraries.json").read_text(encoding="utf-8"))
SINA = LIBRARIES["easyquotation_sina"]
TENCENT = LIBRARIES["easyquotation_tencent"]
EFINANCE = LIBRARIES["efinance_realtime"]
SPOT_EM = LIBRARIES["akshare_spot_em"]
SPOT = LIBRARIES["akshare_spot"]
BID_ASK = LIBRARIES["akshare_bid_ask_of_000001"]


def native(channel: str, rows: list[Row | Told | DataValidationError]) -> list[Quote]:
    """What our own feed makes of the sources' bytes, under the channel of the library."""
    return [quote_of(channel, row, LATER, SKEW) for row in rows if isinstance(row, Row) and row.suspended is None]


def quotes(parsed: Parsed) -> list[Quote]:
    return [record for record in parsed.records if isinstance(record, Quote)]


def refused(error: pytest.ExceptionInfo[DataValidationError]) -> tuple[str, str | None]:
    return error.value.reason, error.value.field


# easyquotation


def test_easyquotations_rows_of_sina_are_the_quotes_of_the_feed() -> None:
    answers = recorded("hq_sz162411_20190312.txt") + recorded("hq_three_one_empty_20190408.txt")
    parsed = easyquotation.parse_batch(SINA, LATER)
    assert list(parsed.records) == native("easyquotation", sina.parse_batch(answers))
    assert (parsed.told, parsed.faults) == ([], [])


def test_sinas_turnover_is_shares_its_volume_money_and_its_close_of_the_day_before() -> None:
    told = easyquotation.parse("sz162411", SINA["sz162411"], LATER)
    assert (told.instrument, told.volume_24h) == ("szse:162411", 133_819_867 * ONE)
    assert format_decimal(told.amount_24h or 0, 24) == "65623147.285"
    assert (told.open_24h, told.last) == (488 * 10**9, 491 * 10**9)


def test_sinas_indexes_of_shanghai_have_hands() -> None:
    index = SINA["sz162411"] | {"turnover": 402626660, "volume": 398081845473.0}
    assert easyquotation.parse("sh000001", index, LATER).volume_24h == 40_262_666_000 * ONE
    assert easyquotation.parse("sz399001", index, LATER).volume_24h == 402_626_660 * ONE


def test_easyquotations_rows_of_tencent_are_the_quotes_of_the_feed() -> None:
    rows = {code: row | {"datetime": datetime.fromisoformat(row["datetime"])} for code, row in TENCENT.items()}
    expected = native("easyquotation", [tencent.parse(tencent_row(figures).strip()) for figures in FIGURES["tencent"]])
    assert list(easyquotation.parse_batch(rows, LATER).records) == expected
    assert list(easyquotation.parse_batch(TENCENT, LATER).records) == expected  # kept as JSON


def test_tencents_whole_amount_is_taken_before_the_rounded_one() -> None:
    row = TENCENT["sh600519"]
    assert format_decimal(easyquotation.parse("sh600519", row, LATER).amount_24h or 0, 24) == "1451334748"
    rounded = easyquotation.parse("sh600519", row | {"价格/成交量(手)/成交额": ""}, LATER)
    assert format_decimal(rounded.amount_24h or 0, 24) == "1451330000"


@pytest.mark.parametrize(
    ("code", "instrument"), [("600519", "sse:600519"), ("300750", "szse:300750"), ("920819", "bse:920819")]
)
def test_a_code_without_its_market_is_taken_where_one_market_alone_has_it(code: str, instrument: str) -> None:
    row = TENCENT["sh600519"] | {"code": code}
    assert easyquotation.parse(code, row, LATER).instrument == instrument


@pytest.mark.parametrize("code", ["000001", "162411", "110059", "12"])
def test_a_code_that_several_markets_have_is_refused(code: str) -> None:
    parsed = easyquotation.parse_batch({code: SINA["sz162411"]}, LATER)
    (fault,) = parsed.faults
    assert (fault.reason, fault.field, parsed.records) == ("ambiguous_symbol", "code", [])
    assert str(fault).startswith(f"{code}: ")


def test_what_is_suspended_is_told_and_what_was_asked_for_and_is_not_there() -> None:
    halted = SINA["sz160922"] | {"buy": 0.0, "sell": 0.0}
    parsed = easyquotation.parse_batch({"sz160922": halted, **TENCENT}, LATER, asked=["szse:160923", "sse:600519"])
    assert [quote.instrument for quote in quotes(parsed)] == ["sse:600519", "sse:510300"]
    assert [(told.instrument, told.state) for told in parsed.told] == [
        ("szse:160922", FeedState.STALE),
        ("szse:160923", FeedState.DOWN),
    ]
    with pytest.raises(DataValidationError, match="szse:160922") as error:
        easyquotation.parse("sz160922", halted, LATER)
    assert refused(error) == ("suspended", None)
    with pytest.raises(DataValidationError, match="delisted"):
        easyquotation.parse("sh600519", TENCENT["sh600519"] | {"unknown": "D"}, LATER)


@pytest.mark.parametrize(
    ("code", "row", "reason"),
    [
        ("hk00700", SINA["sz162411"], "unknown_symbol"),
        ("xx600519", SINA["sz162411"], "unknown_symbol"),
        (600519, SINA["sz162411"], "wrong_type"),
        ("sh600519", TENCENT["sh510300"], "inconsistent"),
        ("sh600519", {"now": 1.0}, "missing_field"),
        ("sh600519", None, "wrong_type"),
        ("sz162411", {key: told for key, told in SINA["sz162411"].items() if key != "turnover"}, "missing_field"),
        ("sz162411", SINA["sz162411"] | {"now": "?"}, "not_a_decimal"),
        ("sz162411", SINA["sz162411"] | {"now": True}, "wrong_type"),
        ("sz162411", SINA["sz162411"] | {"turnover": 1_338_199}, "wrong_unit"),
        ("sz162411", SINA["sz162411"] | {"time": "25:00:00"}, "bad_time"),
        ("sz162411", SINA["sz162411"] | {"date": "2099-01-01"}, "future_time"),
    ],
)
def test_a_row_at_fault_names_its_fault_and_spoils_no_other(code: Any, row: Any, reason: str) -> None:
    with pytest.raises(DataValidationError) as error:
        easyquotation.parse(code, row, LATER)
    assert error.value.reason == reason
    parsed = easyquotation.parse_batch({code: row, "sz160924": SINA["sz160924"]}, LATER)
    assert [fault.reason for fault in parsed.faults] == [reason]
    assert quotes(parsed)[-1].instrument == "szse:160924"


# efinance


def test_efinances_rows_are_the_quotes_of_the_feed() -> None:
    (expected,) = native("efinance", eastmoney.parse_batch(eastmoney_answer(FIGURES["eastmoney"])))
    for name in ("efinance_realtime", "efinance_latest"):
        for table in (LIBRARIES[name], pandas.DataFrame(LIBRARIES[name])):
            parsed = efinance.parse_batch(table, LATER, zone=SHANGHAI)
            assert list(parsed.records) == [expected]
            assert [(told.instrument, told.state) for told in parsed.told] == [("szse:000003", FeedState.STALE)]
            assert parsed.faults == []
    assert (expected.volume_24h, expected.instrument) == (80_522_100 * ONE, "szse:000001")
    series = pandas.DataFrame(EFINANCE).iloc[0]
    assert efinance.parse(series, LATER, zone=SHANGHAI) == expected


def test_efinances_time_is_that_of_the_machine() -> None:
    here = efinance.parse(EFINANCE[0], LATER).exchange_time
    assert here == round(datetime.fromisoformat("2026-07-07 15:34:57").timestamp()) * 1_000_000
    in_shanghai = efinance.parse(EFINANCE[0], LATER, zone=SHANGHAI).exchange_time
    assert in_shanghai == 1_783_409_697_000_000


@pytest.mark.parametrize("number", ["116", "128"])
def test_efinances_volume_of_hong_kong_is_shares(number: str) -> None:
    row = EFINANCE[0] | {"股票代码": "00859", "行情ID": f"{number}.00859", "成交量": 80522100}
    told = efinance.parse(row, LATER, zone=SHANGHAI)
    assert (told.instrument, told.volume_24h) == ("hkex:00859", 80_522_100 * ONE)


def test_a_convertible_bonds_hand_of_ten_leaves_its_volume_out() -> None:
    bond = EFINANCE[0] | {"股票代码": "110059", "行情ID": "1.110059", "成交额": 84046577.805}
    parsed = efinance.parse_batch([bond], LATER, zone=SHANGHAI)
    (told,) = quotes(parsed)
    assert (told.last, told.volume_24h, told.amount_24h) == (10_470 * 10**9, None, None)
    assert [fault.reason for fault in parsed.faults] == ["wrong_unit"]


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"行情ID": "90.BK0475"}, "unknown_symbol", "行情ID"),
        ({"行情ID": "105.000001"}, "unknown_symbol", "行情ID"),
        ({"行情ID": "142.430047"}, "unknown_symbol", "行情ID"),
        ({"行情ID": "1.600519"}, "inconsistent", "行情ID"),
        ({"行情ID": None}, "wrong_type", "行情ID"),
        ({"股票代码": 1}, "wrong_type", "股票代码"),
        ({"更新时间": "yesterday"}, "bad_time", "更新时间"),
        ({"最新价": math.inf}, "not_a_decimal", "最新价"),
        ({"成交量": []}, "wrong_type", "成交量"),
    ],
)
def test_efinances_rows_at_fault_are_refused(changed: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(DataValidationError) as error:
        efinance.parse(EFINANCE[0] | changed, LATER, zone=SHANGHAI)
    assert refused(error) == (reason, field)


# akshare


def test_akshares_list_of_eastmoney_has_hands_and_shares_alone() -> None:
    parsed = akshare.parse_batch(pandas.DataFrame(SPOT_EM), LATER)
    (told,) = quotes(parsed)
    assert (told.instrument, told.volume_24h, told.exchange_time) == ("szse:000001", 80_522_100 * ONE, None)
    assert (format_decimal(told.last or 0), format_decimal(told.amount_24h or 0, 24)) == ("10.47", "840465778.05")
    assert [(told.instrument, told.state) for told in parsed.told] == [("szse:000003", FeedState.STALE)]
    assert akshare.parse_batch(SPOT_EM, LATER) == parsed


def test_akshares_list_of_sina_has_shares_and_markets() -> None:
    parsed = akshare.parse_batch(pandas.DataFrame(SPOT), LATER, asked=["bse:430017", "sse:600000"])
    first, last = quotes(parsed)
    assert (first.instrument, first.volume_24h, first.exchange_time) == ("bse:430017", 8_411_380 * ONE, None)
    assert (last.instrument, format_decimal(last.amount_24h or 0, 24)) == ("szse:301568", "469276460")
    assert [(told.instrument, told.state) for told in parsed.told] == [
        ("bse:430198", FeedState.STALE),
        ("sse:600000", FeedState.DOWN),
    ]


@pytest.mark.parametrize(
    ("code", "reason"), [("510300", "ambiguous_symbol"), ("399001", "ambiguous_symbol"), (1, "wrong_type")]
)
def test_what_is_no_share_is_refused_in_akshares_list(code: Any, reason: str) -> None:
    with pytest.raises(DataValidationError) as error:
        akshare.parse(SPOT_EM[0] | {"代码": code}, LATER)
    assert refused(error) == (reason, "代码")


def test_akshares_bid_and_ask_are_in_shares_beside_a_volume_in_hands() -> None:
    for table in (BID_ASK, pandas.DataFrame(BID_ASK)):
        told = akshare.parse_bid_ask(table, "000001", LATER)
        assert told.instrument == "szse:000001"
        assert (told.bid_size, told.ask_size, told.volume_24h) == (369_000 * ONE, 233_900 * ONE, 87_266_300 * ONE)
        prices = (told.last, told.bid, told.ask, told.open_24h, told.high_24h, told.low_24h, told.change_24h)
        assert [format_decimal(price or 0) for price in prices] == ["10.45", "10.44", "10.45", "10.4", "10.47", "10.37", "0.05"]


@pytest.mark.parametrize(
    ("code", "instrument"),
    [("600519", "sse:600519"), ("159915", "szse:159915"), ("430047", "bse:430047"), ("920819", "bse:920819")],
)
def test_akshares_bid_and_ask_are_of_the_market_that_the_library_asks(code: str, instrument: str) -> None:
    assert akshare.parse_bid_ask(BID_ASK, code, LATER).instrument == instrument


@pytest.mark.parametrize("code", ["510300", "900901", "12"])
def test_akshare_asks_shenzhen_in_vain_for_codes_of_shanghai(code: str) -> None:
    with pytest.raises(DataValidationError) as error:
        akshare.parse_bid_ask(BID_ASK, code, LATER)
    assert refused(error) == ("unknown_symbol", "code")


def test_dashes_times_a_hundred_are_no_figure() -> None:
    dashes = [{"item": row["item"], "value": "-" * (100 if row["item"].endswith("vol") else 1)} for row in BID_ASK]
    with pytest.raises(DataValidationError) as error:
        akshare.parse_bid_ask(dashes, "000001", LATER)
    assert refused(error) == ("suspended", None)


# all


@pytest.mark.parametrize("table", [None, 7, "600519", {"代码": "600519"}])
def test_what_is_no_table_is_refused(table: Any) -> None:
    for parse_batch in (efinance.parse_batch, akshare.parse_batch):
        with pytest.raises(DataValidationError) as error:
            parse_batch(table, LATER)
        assert refused(error) == ("no_answer", None)
    with pytest.raises(DataValidationError, match="no dict"):
        easyquotation.parse_batch([table], LATER)  # type: ignore[arg-type]


@pytest.mark.parametrize("row", [None, 7, "600519", [], {}])
def test_a_row_that_is_none_spoils_no_other(row: Any) -> None:
    for parsed in (
        efinance.parse_batch([row, EFINANCE[0]], LATER, zone=SHANGHAI),
        akshare.parse_batch([row, SPOT_EM[0]], LATER),
    ):
        assert len(parsed.faults) == 1
        assert [quote.instrument for quote in quotes(parsed)] == ["szse:000001"]


@given(st.decimals(min_value=0, max_value=10**9, places=3))
def test_a_float_is_the_figure_that_was_told(told: Decimal) -> None:
    for found in (float(told), numpy.float64(told), told, str(told)):
        text = figure({"figure": found}, "figure")
        assert text is not None
        assert parse_decimal(text, field="figure") == parse_decimal(str(told), field="figure")


@given(st.integers(min_value=0, max_value=2**53))
def test_a_whole_number_stays_whole(told: int) -> None:
    for found in (told, numpy.int64(told), float(told)):
        assert Decimal(figure({"figure": found}, "figure") or "") == told
