import pytest

from market.errors import DataValidationError
from market.quality import MAX_CLOCK_SKEW
from market.trade import GapMark, TimeMark, Trade, check_mark, check_trade
from tests.builders import INSTRUMENT, START, make_trade

GOOD = make_trade(1)
YEAR_9999 = 253_402_300_799_000_000


def test_good_trade_passes_unchanged() -> None:
    assert check_trade(GOOD) is GOOD


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (GOOD._replace(price=0), "price", "not_positive"),
        (GOOD._replace(size=-1), "size", "not_positive"),
        (GOOD._replace(price=10**38), "price", "too_large"),
        (GOOD._replace(price=10**30, size=10**30), "amount", "too_large"),
        (GOOD._replace(trade_count=0), "trade_count", "not_positive"),
        (GOOD._replace(trade_count=2**31), "trade_count", "too_large"),
        (GOOD._replace(sequence=2**63), "sequence", "too_large"),
        (GOOD._replace(trade_id=""), "trade_id", "bad_id"),
        (GOOD._replace(first_trade_id="9" * 201), "first_trade_id", "bad_id"),
        (GOOD._replace(last_trade_id="\N{SNOWMAN}" * 10_240), "last_trade_id", "bad_id"),
        (GOOD._replace(instrument="BTC/USDT"), "instrument", "bad_instrument"),
        (GOOD._replace(instrument="binance:\N{CYRILLIC CAPITAL LETTER VE}TC-USDT"), "instrument", "bad_instrument"),
        (GOOD._replace(instrument="binance:" + "B" * 10_240), "instrument", "bad_instrument"),
        (GOOD._replace(received_at=START // 1000), "received_at", "bad_time"),
        (GOOD._replace(received_at=0), "received_at", "bad_time"),
        (GOOD._replace(exchange_time=START * 1000), "exchange_time", "bad_time"),
        (GOOD._replace(exchange_time=YEAR_9999), "exchange_time", "bad_time"),
        (GOOD._replace(published_at=YEAR_9999), "published_at", "bad_time"),
        (GOOD._replace(exchange_time=START + MAX_CLOCK_SKEW + 1), "exchange_time", "future_time"),
    ],
)
def test_bad_trade_is_refused_by_field_and_reason(bad: Trade, field: str, reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_trade(bad)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_exchange_clock_may_run_ahead_a_little() -> None:
    assert check_trade(GOOD._replace(exchange_time=START + MAX_CLOCK_SKEW))


def test_receive_time_is_bounded_where_the_time_of_arrival_is_known() -> None:
    assert check_trade(GOOD, not_after=START) is GOOD
    with pytest.raises(DataValidationError) as caught:
        check_trade(GOOD._replace(received_at=START + 1), not_after=START)
    assert (caught.value.field, caught.value.reason) == ("received_at", "future_time")


def test_without_exchange_time_the_receive_time_is_the_event_time() -> None:
    assert GOOD._replace(exchange_time=None, received_at=START + 5).event_time == START + 5


@pytest.mark.parametrize(
    "mark", [TimeMark(INSTRUMENT, START, START), GapMark(INSTRUMENT, START, START), GapMark(INSTRUMENT, None, START)]
)
def test_good_mark_passes_unchanged(mark: TimeMark | GapMark) -> None:
    assert check_mark(mark, not_after=START) is mark


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (TimeMark("BTC/USDT", START), "instrument", "bad_instrument"),
        (TimeMark(INSTRUMENT, 0), "time", "bad_time"),
        (TimeMark(INSTRUMENT, START + 1), "time", "future_time"),
        (TimeMark(INSTRUMENT, START, YEAR_9999), "published_at", "bad_time"),
        (GapMark(INSTRUMENT, None, YEAR_9999), "end", "bad_time"),
        (GapMark(INSTRUMENT, None, START + 1), "end", "future_time"),
        (GapMark(INSTRUMENT, 0, START), "begin", "bad_time"),
        (GapMark(INSTRUMENT, START, START - 1), "begin", "bad_time"),
        (GapMark(INSTRUMENT, None, START, published_at=0), "published_at", "bad_time"),
    ],
)
def test_bad_mark_is_refused_by_field_and_reason(bad: TimeMark | GapMark, field: str, reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_mark(bad, not_after=START)
    assert (caught.value.field, caught.value.reason) == (field, reason)
