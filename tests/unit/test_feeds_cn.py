"""Sina, Tencent and Eastmoney: what their answers mean, in shares and yuan, with markets named and nothing filled in."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds
from ingest.feed import PolledVenue, Subscription, Told
from ingest.feeds import eastmoney, sina, tencent
from ingest.feeds._cn_snapshots import Row, SnapshotReader, check_unit, micros_of, quote_of
from ingest.publisher import TOPIC_OF
from market.decimals import ONE, format_decimal
from market.errors import DataValidationError, SubscriptionError
from market.feed_status import FeedState
from market.quote import Quote
from market.trade import Trade
from schemas.checks import check_carried
from tests.cn_parts import FIGURES, eastmoney_answer, recorded, sina_row, tencent_row
from tests.ingest_parts import ALL_DATA
from tests.venue_data import NO_WHOLE

LATER = 1_800_000_000_000_000
SKEW = 5_000_000
SOURCES = ("eastmoney", "sina", "tencent")
WHOLE = ALL_DATA / "cn"


def at(*figures: int) -> int:
    """A time of Shanghai in microseconds."""
    return round(datetime(*figures, tzinfo=timezone(timedelta(hours=8))).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def source(name: str) -> PolledVenue:
    found = feeds.load(name)
    assert isinstance(found, PolledVenue)
    return found


def rows(found: list[Row | Told | DataValidationError]) -> list[Row]:
    return [row for row in found if isinstance(row, Row)]


def quote(row: Row) -> Quote:
    return quote_of("hq", row, LATER, SKEW)


# Sina


def test_sina_volume_is_shares_and_amount_is_yuan() -> None:
    (row,) = rows(sina.parse_batch(recorded("hq_sz162411_20190312.txt")))
    told = quote(row)
    assert told.instrument == "szse:162411"
    assert told.exchange_time == at(2019, 3, 12, 15, 0, 3)
    assert format_decimal(told.volume_24h or 0) == "133819867"
    assert format_decimal(told.amount_24h or 0, 24) == "65623147.285"
    prices = (told.last, told.open_24h, told.high_24h, told.low_24h, told.bid, told.ask, told.change_24h)
    assert [format_decimal(price or 0) for price in prices] == ["0.491", "0.488", "0.492", "0.488", "0.49", "0.491", "0.003"]
    assert (told.bid_size, told.ask_size) == (2_422_992 * ONE, 5_386_166 * ONE)
    assert format_decimal(told.change_percent_24h or 0).startswith("0.61475")
    check_unit(told)


def test_before_the_first_trade_prices_are_none_not_zero() -> None:
    first, unknown, third = sina.parse_batch(recorded("hq_three_one_empty_20190408.txt"))
    assert isinstance(first, Row)
    assert isinstance(third, Row)
    told = quote(first)
    assert (told.last, told.high_24h, told.low_24h, told.change_24h, told.change_percent_24h) == (None,) * 5
    assert (told.bid, told.ask, told.open_24h, told.volume_24h) == (1_053 * 10**9, 1_110 * 10**9, 1_074 * 10**9, 0)
    assert unknown == Told(
        "szse:160923", FeedState.DOWN, "the source says nothing of it: not known, not listed yet, or delisted"
    )


@pytest.mark.parametrize(("status", "reason"), [("03", "until further notice (status 03)"), ("-3", "delisted (status -3)")])
def test_sina_tells_a_suspension(status: str, reason: str) -> None:
    suspended = sina_row("sz000001", last="0.00", volume="0", amount="0", status=status).strip()
    parsed = source("sina").parser("cn", {}, SKEW).parse(suspended, LATER)
    assert parsed.records == []
    ((instrument, state, why),) = parsed.told
    assert (instrument, state) == ("szse:000001", FeedState.STALE)
    assert why.endswith(reason)


@pytest.mark.skipif(not WHOLE.exists(), reason=NO_WHOLE)
def test_shanghais_indexes_have_their_volume_in_hands_and_shenzhens_in_shares() -> None:
    answer = (WHOLE / "sina" / "hq_indexes_20220407.txt").read_text(encoding="utf-8").encode("gbk")
    shanghai, shenzhen = rows(sina.parse_batch(answer))
    assert (shanghai.instrument, shanghai.volume) == ("sse:000001", "40262666000")
    assert (shenzhen.instrument, shenzhen.volume) == ("szse:399001", "47857870369")
    for row in (shanghai, shenzhen):  # an average share costs some yuan, not hundreds, nor hundredths
        told = quote(row)
        assert told.volume_24h
        assert told.amount_24h
        assert 2 < told.amount_24h // told.volume_24h // ONE < 30


# Tencent


def test_tencent_volume_is_hands_and_the_whole_amount_is_in_field_35() -> None:
    share, fund = (tencent.parse(tencent_row(figures).strip()) for figures in FIGURES["tencent"])
    assert isinstance(share, Row)
    assert isinstance(fund, Row)
    assert (share.instrument, share.volume, share.amount, share.bid_size) == ("sse:600519", "1113100", "1451334748", "100")
    assert share.exchange_time == at(2026, 8, 6, 10, 43, 33)
    assert (fund.instrument, fund.volume) == ("sse:510300", "943535600")
    for row in (share, fund):
        check_unit(quote(row))


def test_tencent_amount_of_ten_thousands_is_taken_where_there_is_no_other() -> None:
    plain = tencent_row(FIGURES["tencent"][0]).decode("gbk").replace("1301.50/11131/1451334748", "")
    row = tencent.parse(plain.strip().encode("gbk"))
    assert isinstance(row, Row)
    assert row.amount == "1451330000"


def test_tencent_quotes_hong_kong_in_shares_and_dollars_without_made_up_bids() -> None:
    tencents, lianhua = rows(tencent.parse_batch(recorded("hk_quote_20180329.txt")))
    assert (tencents.instrument, lianhua.instrument) == ("hkex:00700", "hkex:00980")
    told = quote(tencents)
    assert told.exchange_time == at(2018, 3, 29, 16, 8, 11)
    assert (told.volume_24h, format_decimal(told.amount_24h or 0, 24)) == (41_115_421 * ONE, "16899465578.3")
    assert (told.bid, told.ask) == (None, None)
    check_unit(told)


def test_tencent_knows_none_of_the_codes() -> None:
    assert tencent.parse_batch(b'v_pv_none_match="1";\n') == []


@pytest.mark.skipif(not WHOLE.exists(), reason=NO_WHOLE)
def test_written_figures_are_those_of_the_recorded_answers() -> None:
    for name, figures in zip(("qt_sh600519_20260806_104333", "qt_sh510300_20260807_161452"), FIGURES["tencent"], strict=True):
        answer = (WHOLE / "tencent" / f"{name}.txt").read_text(encoding="utf-8").encode("gbk")
        assert tencent.parse_batch(answer) == [tencent.parse(tencent_row(figures).strip())]


# Eastmoney


def test_eastmoney_volume_is_hands_and_a_dash_is_nothing() -> None:
    traded, suspended = rows(eastmoney.parse_batch(eastmoney_answer(FIGURES["eastmoney"])))
    assert (traded.instrument, traded.last, traded.volume, traded.amount) == (
        "szse:000001",
        "10.47",
        "80522100",
        "840465778.05",
    )
    check_unit(quote(traded))
    assert (suspended.instrument, suspended.last, suspended.volume, suspended.previous_close) == (
        "szse:000003",
        None,
        None,
        "2.71",
    )
    assert suspended.suspended


def test_code_without_its_market_is_refused_with_what_it_may_mean() -> None:
    row = {name: value for name, value in FIGURES["eastmoney"][0].items() if name != "f13"}
    (found,) = eastmoney.parse_batch(eastmoney_answer([row]))
    assert isinstance(found, DataValidationError)
    assert (found.reason, found.field) == ("ambiguous_symbol", "f13")
    assert str(found) == "f13: without its market 000001 may mean sse:000001 or szse:000001 or bse:000001"


@pytest.mark.parametrize(
    ("code", "market", "instrument"),
    [("600519", 1, "sse:600519"), ("430047", 0, "bse:430047"), ("920000", 0, "bse:920000"), ("00700", 116, "hkex:00700")],
)
def test_eastmoneys_markets(code: str, market: int, instrument: str) -> None:
    row = json.dumps({**FIGURES["eastmoney"][0], "f12": code, "f13": market}).encode()
    assert source("eastmoney").instrument_of(row) == instrument


def test_a_single_quote_of_eastmoneys_has_no_time_and_no_trades() -> None:
    answer = (
        b'{"data":{"f43":12.43,"f44":12.56,"f45":12.21,"f47":308763,"f48":382298576.0,"f57":"601238","f60":12.4,"f169":0.03}}'
    )
    row = eastmoney.parse_stock(answer, "sse:601238")
    assert isinstance(row, Row)
    assert (row.exchange_time, row.last, row.volume, row.amount) == (None, "12.43", "30876300", "382298576.0")
    assert [type(one) for one in SnapshotReader("quote", SKEW).read(row, LATER).records] == [Quote]
    with pytest.raises(DataValidationError, match="not of szse:601239"):
        eastmoney.parse_stock(answer, "szse:601239")
    assert isinstance(eastmoney.parse_stock(b'{"data":null}', "sse:601238"), Told)


def test_eastmoneys_days_begin_with_the_first_session() -> None:
    url = "https://push2his.eastmoney.com/api/qt/stock/kline/get?secid=1.601872&klt=101&fqt=0"
    days = FIGURES["eastmoney_days_of_sse_601872"]
    answer = json.dumps({"data": {"code": "601872", "market": 1, "klines": days}}).encode()
    klines = eastmoney.parse_klines(answer, url, at(2024, 12, 20, 14, 0, 0), SKEW)
    assert [kline.open_time for kline in klines] == [at(2024, 12, day, 9, 30, 0) for day in (18, 19, 20)]
    assert [kline.is_closed for kline in klines] == [True, True, False]
    assert (klines[0].open, klines[0].close, klines[0].high, klines[0].low) == tuple(
        cents * 10**10 for cents in (611, 618, 628, 610)
    )
    assert (klines[0].volume, klines[0].amount) == (84_274_300 * ONE, 542_829_495 * ONE * ONE)
    assert eastmoney.parse_klines(b'{"rc":100,"data":null}', url, LATER, SKEW) == []
    for wrong, reason in (("klt=5&fqt=0", "wrong_interval"), ("klt=101&fqt=1", "adjusted")):
        with pytest.raises(DataValidationError) as caught:
            eastmoney.parse_klines(answer, f"https://push2his.eastmoney.com/api/qt/stock/kline/get?{wrong}", LATER, SKEW)
        assert caught.value.reason == reason


@pytest.mark.skipif(not WHOLE.exists(), reason=NO_WHOLE)
def test_recorded_answers_of_eastmoneys_are_read() -> None:
    folder = WHOLE / "eastmoney"
    url = "https://push2his.eastmoney.com/api/qt/stock/kline/get?klt=101&fqt=0"
    klines = eastmoney.parse_klines((folder / "kline_day_601872_202412.json").read_bytes(), url, LATER, SKEW)
    assert [kline.instrument for kline in klines] == ["sse:601872"] * 10
    assert eastmoney.parse_klines((folder / "kline_no_data.json").read_bytes(), url, LATER, SKEW) == []
    listed = eastmoney.parse_batch((folder / "clist_3rows_20260707.json").read_bytes())
    assert [isinstance(one, DataValidationError) and one.reason for one in listed] == ["ambiguous_symbol"] * 3
    assert isinstance(eastmoney.parse_stock((folder / "stock_get_601238.json").read_bytes(), "sse:601238"), Row)


# what they have in common


def reader() -> Callable[..., list[type]]:
    made = source("sina").parser("cn", {}, SKEW)
    return lambda **told: [type(one) for one in made.parse(sina_row("sz000001", **told).strip(), LATER).records]


def test_trades_are_the_differences_of_snapshots_and_a_day_begins_anew() -> None:
    read = reader()
    assert read() == [Quote]
    assert read(volume="1500", amount="15000", time="2024-08-09 10:00:03") == [Quote, Trade]
    assert read(volume="1500", amount="15000", time="2024-08-09 10:00:06") == [Quote]
    assert read(volume="0", amount="0", last="0.00", time="2024-08-12 09:15:00") == [Quote]
    assert read(volume="700", amount="7000", time="2024-08-12 09:25:00") == [Quote, Trade]


def test_a_volume_that_falls_is_told_once_and_the_quote_goes_on() -> None:
    made = source("sina").parser("cn", {}, SKEW)
    volumes = ["1000", "900", "900", "1100"]
    parsed = [
        made.parse(sina_row("sz000001", volume=volume, amount=f"{volume}0", time=f"2024-08-09 10:00:0{number}").strip(), LATER)
        for number, volume in enumerate(volumes)
    ]
    assert [len(one.records) for one in parsed] == [1, 1, 1, 2]
    assert [[fault.reason for fault in one.faults] for one in parsed] == [[], ["volume_fell"], [], []]
    trade = parsed[3].records[1]
    assert isinstance(trade, Trade)
    assert trade.size == 100 * ONE


def test_hands_taken_for_shares_are_noticed() -> None:
    parsed = source("sina").parser("cn", {}, SKEW).parse(sina_row("sz000001", volume="10", amount="10000").strip(), LATER)
    (fault,) = parsed.faults
    assert (fault.reason, fault.field) == ("wrong_unit", "volume")
    (told,) = parsed.records
    assert isinstance(told, Quote)
    assert (told.last, told.volume_24h, told.amount_24h) == (10 * ONE, None, None)


def test_an_index_has_no_trades() -> None:
    venue = source("tencent")
    made = venue.parser("cn", {}, SKEW)
    for hands in ("100", "200"):
        row = tencent_row(FIGURES["tencent"][0], symbol="sh000001", hands=hands)
        assert [type(one) for one in made.parse(row.strip(), LATER).records] == [Quote]
    streams = [Subscription("sse:000001", "qt"), Subscription("szse:000001", "qt")]
    assert venue.traded(streams) == {"szse:000001"}
    assert venue.configured({"trades": False}).traded(streams) == frozenset()


@pytest.mark.parametrize("name", SOURCES)
def test_a_code_needs_its_market(name: str) -> None:
    venue = source(name)
    channel = venue.default_channels[0]
    venue.check([Subscription("sse:600519", channel), Subscription("szse:000001", channel)])
    with pytest.raises(SubscriptionError, match="with its market it is sse:000001 or szse:000001 or bse:000001"):
        venue.check([Subscription("000001", channel)])
    with pytest.raises(SubscriptionError, match=f"no instrument of {name}, such as sse:600519"):
        venue.check([Subscription("sse:00700", channel)])
    with pytest.raises(SubscriptionError, match=f"no channel of {name}"):
        venue.check([Subscription("sse:600519", "rumours")])


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("options", [{"poll_seconds": 0}, {"batch": "many"}, {"rumours": 1}], ids=str)
def test_wrong_option_is_named(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        source(name).configured(options)


@pytest.mark.parametrize("name", SOURCES)
def test_addresses_of_the_source_alone_are_its_own(name: str) -> None:
    venue = feeds.load(name)
    assert venue.market_of(venue.hosts[0]) == "cn"  # type: ignore[attr-defined]
    assert venue.market_of("https://example.com/list=sh600519") is None


@pytest.mark.parametrize("text", ["20260806104333", "2026/08/06 10:43:33", "2026-08-06 10:43:33"])
def test_times_are_shanghais(text: str) -> None:
    assert micros_of(text) == at(2026, 8, 6, 10, 43, 33)


@pytest.mark.parametrize("text", ["", "20260806", "20261306104333", "2026-08-06 25:00:00", "0000-00-00 00:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        micros_of(text)
    assert caught.value.reason == "bad_time"


SAMPLES = {
    "sina": sina_row("sz000001").strip(),
    "tencent": tencent_row(FIGURES["tencent"][0]).strip(),
    "eastmoney": json.dumps(FIGURES["eastmoney"][0]).encode(),
}


@pytest.mark.parametrize("name", SOURCES)
@given(data=st.data())
def test_any_change_of_a_row_is_read_or_refused(name: str, data: st.DataObject) -> None:
    row = SAMPLES[name]
    first = data.draw(st.integers(0, len(row)))
    last = data.draw(st.integers(first, min(len(row), first + 12)))
    changed = (
        row[:first] + data.draw(st.binary(max_size=12) | st.sampled_from([b"-1", b"0", b"1e99", b"NaN", b""])) + row[last:]
    )
    parser = source(name).parser("cn", {}, SKEW)
    try:
        parsed = parser.parse(changed, LATER)
    except DataValidationError as error:
        assert error.reason
        assert len(str(error)) < 400
    else:
        for record in parsed.records:
            topic = TOPIC_OF[type(record)]
            check_carried(topic.name, topic.place(record)[0], record)
    assert parser.channel_of(changed)
    source(name).instrument_of(changed)
