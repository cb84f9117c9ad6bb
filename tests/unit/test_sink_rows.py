from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEvent, CandleEventKind
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_score import QualityScore
from market.trade import GapMark, Origin, TimeMark
from sinks.store import KafkaRecord
from sinks.stores._postgres_copy import Row, escape, month_of, time_text
from sinks.stores._postgres_rows import RowMaker, without_repetitions
from sinks.stores._postgres_tables import TABLES
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import make_quote
from tests.kline_parts import kline

SECOND = 1_000_000
SOURCE = KafkaRecord("md.trades", 2, 70, b"key", b"value", 0)
ROW_OF = RowMaker(SECOND)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CANDLE = CandleEvent(
    instrument=INSTRUMENT,
    interval="1m",
    open_time=START,
    close_time=START + 60_000_000,
    kind=CandleEventKind.CLOSE,
    revision=1,
    open=10**12,
    high=10**12 + 1,
    low=10**12 - 1,
    close=10**12,
    volume=5 * 10**12,
    amount=5 * 10**24 + 1,
    vwap=10**12,
    taker_buy_volume=None,
    trade_count=7,
    first_trade_id="1",
    last_trade_id="7",
    is_closed=True,
    complete=True,
    gap=False,
    last_trade_time=START + 59_999_999,
    received_at=START + 60_000_001,
    source_topic="md.trades",
    source_partition=2,
    source_offset=70,
)
CHANGE = PriceChangedEvent(INSTRUMENT, 100, 110, 10, 10**13, 3, True, None, START, "md.trades", 2, 70)


def columns(row: Row) -> dict[str, str]:
    """A line taken apart by its table's column names."""
    values = row.line.removesuffix("\n").split("\t")
    return dict(zip(TABLES[row.table].columns, values, strict=True))


def made(record: object) -> Row:
    row = ROW_OF(record, SOURCE)  # type: ignore[arg-type]  # any record
    assert row is not None
    return row


def unescape(text: str) -> str:
    """What PostgreSQL makes of a field of COPY text."""
    letters = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}
    parts, rest = [], text
    while rest:
        head = rest[:2] if rest[:2] in letters else rest[:1]
        parts.append(letters.get(head, head))
        rest = rest[len(head) :]
    return "".join(parts)


@given(st.integers(946_684_800_000_000, 4_102_444_800_000_000))
def test_time_is_exact_to_the_microsecond(micros: int) -> None:
    assert datetime.fromisoformat(time_text(micros)) == EPOCH + timedelta(microseconds=micros)


@given(st.integers(946_684_800_000_000, 4_102_444_800_000_000))
def test_month_is_the_calendars(micros: int) -> None:
    date = EPOCH + timedelta(microseconds=micros)
    assert divmod(month_of(micros), 12) == (date.year, date.month - 1)


@given(st.text())
def test_any_text_survives_as_one_field(text: str) -> None:
    escaped = escape(text)
    assert not {"\t", "\n", "\r"} & set(escaped)
    assert unescape(escaped) == text


def test_text_that_looks_like_null_is_not_null() -> None:
    assert escape("\\N") == "\\\\N"


@given(st.integers(1, 10**38 - 1), st.integers(1, 10**38 - 1))
def test_trade_row_has_price_and_size_to_the_last_digit(price: int, size: int) -> None:
    row = made(make_trade()._replace(price=price, size=size))
    assert Fraction(columns(row)["price"]) * 10**12 == price
    assert Fraction(columns(row)["size"]) * 10**12 == size


def test_trade_row_is_keyed_by_id_and_event_time() -> None:
    row = made(make_trade(5)._replace(side=None))
    assert (row.table, row.key, row.version) == ("trades", (INSTRUMENT, "5", START), ())
    found = columns(row)
    assert (found["side"], found["published_at"]) == ("\\N", "\\N")
    assert (found["source_partition"], found["source_offset"]) == ("2", "70")


@pytest.mark.parametrize(("origin", "text"), [(None, "\\N"), ("backfill", "backfill"), ("poll", "poll")])
def test_trade_row_says_how_it_came(origin: Origin | None, text: str) -> None:
    assert columns(made(make_trade()._replace(origin=origin)))["origin"] == text


def test_trade_without_exchange_time_happened_when_it_was_received() -> None:
    row = made(make_trade(received_at=START + 1)._replace(exchange_time=None))
    assert columns(row)["event_time"] == time_text(START + 1)
    assert columns(row)["exchange_time"] == "\\N"


def test_candle_row_has_its_version_and_every_figure() -> None:
    row = made(CANDLE)
    assert (row.key, row.version) == ((INSTRUMENT, "1m", START), (1, 70))
    found = columns(row)
    assert found["amount"] == "5.000000000000000000000001"
    assert (found["kind"], found["is_closed"], found["gap"], found["taker_buy_volume"]) == ("CLOSE", "t", "f", "\\N")


def test_price_change_row_is_keyed_by_its_trigger() -> None:
    row = made(CHANGE)
    assert row.key == ("md.trades", 2, 70, INSTRUMENT, START)
    assert columns(row)["event_time"] == time_text(START)


def test_gap_mark_leaves_a_row_and_a_time_mark_none() -> None:
    row = made(GapMark(INSTRUMENT, None, START))
    assert (row.table, row.month, columns(row)["begin_time"]) == ("gaps", None, "\\N")
    assert ROW_OF(TimeMark(INSTRUMENT, START), SOURCE) is None


@pytest.mark.parametrize("order", [1, -1])
def test_healed_gap_is_kept_however_often_it_is_told_unhealed(order: int) -> None:
    rows = [made(GapMark(INSTRUMENT, None, START, healed=healed)) for healed in (False, True, False)]
    assert without_repetitions(rows[::order]) == [rows[1]]


@pytest.mark.parametrize("order", [1, -1])
def test_highest_version_of_a_candle_is_kept(order: int) -> None:
    rows = [made(CANDLE._replace(revision=revision)) for revision in (0, 1, 2)]
    assert without_repetitions(rows[::order]) == [rows[2]]


def test_first_of_repeated_trades_is_kept() -> None:
    rows = [made(make_trade(5, received_at=START + wait)) for wait in (1, 2)]
    assert without_repetitions([*rows, made(CANDLE)]) == [rows[0], made(CANDLE)]


def test_quotes_of_one_channel_and_period_share_a_row_and_the_last_received_wins() -> None:
    rows = [made(make_quote(at=START + wait, channel=name)) for wait, name in ((1, "a"), (SECOND - 1, "a"), (0, "b"), (5, "a"))]
    assert without_repetitions(rows) == [rows[1], rows[2]]
    assert columns(rows[1])["period_time"] == time_text(START)
    assert made(make_quote(at=START + SECOND)).key != rows[1].key


def test_of_quotes_received_at_once_the_first_is_kept() -> None:
    rows = [made(make_quote(at=START, sequence=sequence)) for sequence in (3, 2, 9)]
    assert without_repetitions(rows) == rows[:1]


def test_quote_row_has_nulls_where_the_venue_said_nothing() -> None:
    found = columns(made(make_quote(bid=10**12, ask=None, volume_24h=0, change_24h=-1)))
    assert (found["bid"], found["ask"], found["volume_24h"], found["change_24h"]) == ("1", "\\N", "0", "-0.000000000001")


FUNDING = Funding(INSTRUMENT, "tickers", -(10**8), START + 1, 28_800, 10**12, None, None, START + 2)
OPEN_INTEREST = OpenInterest(INSTRUMENT, "tickers", 7 * 10**12, None, START, START + 2)


@given(st.permutations(range(4)))
@pytest.mark.parametrize("record", [FUNDING, OPEN_INTEREST._replace(exchange_time=None)], ids=["funding", "open_interest"])
def test_of_what_a_channel_states_in_a_period_the_last_received_is_kept(
    record: Funding | OpenInterest, order: list[int]
) -> None:
    told: list[Funding | OpenInterest] = [
        record,
        record._replace(received_at=START + SECOND - 1),
        record._replace(received_at=START + SECOND),
        record._replace(channel="markPrice"),
    ]
    rows = [made(told[number]) for number in order]
    assert {row.line for row in without_repetitions(rows)} == {made(each).line for each in told[1:]}
    assert {columns(row)["period_time"] for row in rows} == {time_text(START), time_text(START + SECOND)}


def test_funding_row_has_its_figures_and_nulls() -> None:
    row = made(FUNDING)
    assert (row.table, row.key, row.version) == ("funding", (INSTRUMENT, START, "tickers"), (START + 2,))
    found = columns(row)
    assert (found["rate"], found["interval_seconds"], found["mark_price"]) == ("-0.0001", "28800", "1")
    assert (found["index_price"], found["exchange_time"], found["published_at"]) == ("\\N",) * 3
    assert found["next_funding_time"] == time_text(START + 1)


def test_open_interest_row_has_its_figures_and_nulls() -> None:
    row = made(OPEN_INTEREST._replace(notional=5 * 10**24 + 1))
    assert (row.table, row.key, row.version) == ("open_interest", (INSTRUMENT, START, "tickers"), (START + 2,))
    assert (columns(row)["open_interest"], columns(row)["notional"]) == ("7", "5.000000000000000000000001")
    assert columns(made(OPEN_INTEREST))["notional"] == "\\N"


@given(st.permutations([(False, 1), (False, 2), (True, 1), (True, 3), (False, 9)]))
def test_closed_kline_wins_over_open_ones_and_then_the_last_received(told: list[tuple[bool, int]]) -> None:
    rows = [made(kline(0, is_closed=closed, received_at=START + wait)) for closed, wait in told]
    assert without_repetitions(rows) == [rows[told.index((True, 3))]]


def test_status_row_says_which_way_serves_the_stream() -> None:
    status = FeedStatus("binance", "trade", INSTRUMENT, FeedState.STALE, "", START)
    assert columns(made(status))["source"] == "\\N"
    assert columns(made(status._replace(source="a\tb")))["source"] == "a\\tb"


def test_two_states_at_one_time_are_two_rows() -> None:
    gap = FeedStatus("binance", "trade", INSTRUMENT, FeedState.GAP, "3 are missing", START)
    rows = [made(status) for status in (gap, gap._replace(state=FeedState.LIVE), gap._replace(reason="7 are missing"), gap)]
    assert without_repetitions(rows) == rows[:3]


def test_quality_event_is_known_by_rule_field_source_and_detail() -> None:
    event = QualityEvent(
        *(INSTRUMENT, QualityRule.OUTLIER, Severity.WARNING, "price", 10**24, 1, 2, "far\toff", START, START, "1m", START),
        *("md.trades", 0, 7),
    )
    same = [event, event._replace(occurrences=9), event._replace(severity=Severity.ERROR)]
    others = [
        event._replace(**change)
        for change in ({"rule": QualityRule.GAP}, {"field": None}, {"detail": "near"}, {"source_offset": 8})
    ]
    rows = [made(each) for each in (*same, *others)]
    assert without_repetitions(rows) == [rows[0], *rows[3:]]
    found = columns(rows[0])
    assert (found["observed"], found["expected"]) == ("1", "0.000000000000000000000001")
    assert unescape(found["detail"]) == "far\toff"


def test_score_of_a_minute_is_replaced_by_one_told_later_alone() -> None:
    score = QualityScore(INSTRUMENT, START, 9, {"GAP": 2, "STALE": 1}, 30, 50 * 10**12, START + 5, "md.trades", 0, 7)
    rows = [
        made(score),
        made(score._replace(received_at=START + 6)),
        made(score),
        made(score._replace(source_topic="md.quotes")),
    ]
    assert without_repetitions(rows) == [rows[1], rows[3]]
    assert columns(rows[0])["counts"] == '{"GAP":2,"STALE":1}'
    assert columns(rows[0])["score"] == "50"


@pytest.mark.parametrize("record", [FUNDING, OPEN_INTEREST], ids=["funding", "open_interest"])
def test_what_is_told_of_the_past_at_once_has_a_row_for_each_time(record: Funding | OpenInterest) -> None:
    told = [record._replace(exchange_time=START - back * SECOND) for back in (2, 1, 1, -9)]  # the last by a clock ahead of ours
    rows = [made(each) for each in told]
    assert [columns(row)["period_time"] for row in without_repetitions(rows)] == [
        time_text(START - 2 * SECOND),
        time_text(START - SECOND),
        time_text(START),
    ]
