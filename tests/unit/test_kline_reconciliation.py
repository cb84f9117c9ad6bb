"""Candles and klines of one instrument brought together: what is said of each interval, whatever comes first."""

from typing import Any

import pytest

from market.candle import CandleEvent
from market.decimals import ONE
from market.kline_comparison import Difference
from market.kline_events import Place, events_of
from market.kline_reconciliation import Outcome, Reconciliation, Verdict, is_needed
from market.kline_rules import RULES, UNPROVED, KlineRule
from market.kline_sides import HORIZON, WAIT, Side
from market.quality_event import QualityRule, Severity, check_quality_event, of_price, of_whole
from market.quote import Kline
from tests.builders import INSTRUMENT, MINUTE, START
from tests.kline_parts import candle, kline

BINANCE, BITGET = RULES["binance"], RULES["bitget"]
PLACE = Place("md.candles", "md.klines", 3)
PAST = WAIT // MINUTE
"""Minutes after which a topic is taken to be silent."""


class Minutes:
    """A reconciliation whose records come at the next offsets of their topics."""

    def __init__(self, rule: KlineRule = BINANCE) -> None:
        self.rule = rule
        self.reconciliation = Reconciliation(Side(), Side(), rule)
        self.verdicts: list[Verdict] = []

    def take(self, *records: CandleEvent | Kline) -> list[tuple[int, str]]:
        """Minute and outcome of what these records brought about."""
        found: list[Verdict] = []
        for record in records:
            if isinstance(record, Kline):
                offset = self.reconciliation.klines.applied_offset + 1
                found += self.reconciliation.apply_kline(record, offset) if is_needed(record, self.rule) else []
            else:
                found += self.reconciliation.apply_candle(record, self.reconciliation.candles.applied_offset + 1)
        self.verdicts += found
        return [((verdict.key[1] - START) // MINUTE, verdict.outcome.value) for verdict in found]

    def events(self) -> list[Any]:
        return [event for verdict in self.verdicts for event in events_of(verdict, INSTRUMENT, self.rule, PLACE)]


@pytest.mark.parametrize("first", ["candle", "kline"])
def test_minute_is_compared_when_both_sides_told_of_it(first: str) -> None:
    minutes = Minutes()
    records: list[Any] = [candle(0), kline(0)] if first == "candle" else [kline(0), candle(0)]
    assert minutes.take(records[0]) == []
    assert minutes.take(records[1]) == [(0, "equal")]
    assert minutes.events() == []


def test_difference_is_told_by_field_with_both_figures() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0, 3), kline(0, 4)) == [(0, "different")]
    volume, amount, count = minutes.events()
    assert (volume.rule, volume.severity, volume.field) == (QualityRule.KLINE_DIFFERENCE, Severity.WARNING, "volume")
    assert (volume.observed, volume.expected) == (of_price(3 * ONE), of_price(4 * ONE))
    assert (amount.field, amount.observed) == ("amount", 300 * ONE * ONE)
    assert (count.field, count.observed, count.expected) == ("trade_count", of_whole(3), of_whole(4))
    assert (volume.interval, volume.open_time, volume.event_time) == ("1m", START, START + MINUTE)
    assert (volume.source_topic, volume.source_partition, volume.source_offset) == ("md.klines", 3, 0)
    for event in (volume, amount, count):
        check_quality_event(event)


def test_correction_compares_again_and_says_that_all_is_well() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0, 1), kline(0, 2), candle(0, 2, revision=2)) == [(0, "different"), (0, "equal")]
    assert [event.field for event in minutes.events()] == ["volume", "amount", "trade_count", None]
    well = minutes.events()[-1]
    assert (well.severity, well.source_topic, well.source_offset) == (Severity.INFO, "md.candles", 1)


def test_candle_told_again_is_not_compared_again() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0, 1), kline(0, 2), candle(0, 2, revision=2), candle(0, 1)) == [(0, "different"), (0, "equal")]


def test_kline_told_again_is_not_compared_again_and_one_restated_is() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0), kline(0), kline(0), kline(0, 2), kline(0)) == [(0, "equal"), (0, "different"), (0, "equal")]
    assert [event.field for event in minutes.events()] == ["volume", "amount", "trade_count", None]


def test_candle_not_seen_from_its_beginning_is_counted_and_not_compared() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0, complete=False), kline(0, 2)) == [(0, "not_covered")]
    assert minutes.events() == []


def test_candle_with_a_gap_is_compared_and_its_difference_is_information() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0, complete=False, gap=True), kline(0, 2)) == [(0, "different")]
    assert {event.severity for event in minutes.events()} == {Severity.INFO}
    assert "gap" in minutes.events()[0].detail


def test_difference_of_a_venue_whose_rule_is_not_proved_is_information() -> None:
    minutes = Minutes(UNPROVED)
    minutes.take(candle(0), kline(0, 2))
    assert {event.severity for event in minutes.events()} == {Severity.INFO}
    assert "not proved" in minutes.events()[0].detail


def test_kline_with_trades_that_never_gets_a_candle_is_told_once_our_candles_are_further() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0), kline(0), kline(1, 5), kline(2, 0)) == [(0, "equal")]
    assert minutes.take(candle(PAST)) == []
    assert minutes.take(candle(PAST + 1)) == [(1, "missing_candle")]
    assert minutes.take(candle(PAST + 2)) == [(2, "empty")]
    assert [(event.field, event.observed, event.severity.value) for event in minutes.events()] == [
        ("volume", 0, "WARNING"),
        ("amount", 0, "WARNING"),
        ("trade_count", 0, "WARNING"),
    ]


def test_candle_that_never_gets_a_kline_is_told_once_the_klines_are_further() -> None:
    minutes = Minutes()
    assert minutes.take(kline(0), candle(0), candle(1), kline(PAST)) == [(0, "equal")]
    assert minutes.take(kline(PAST + 1)) == [(1, "missing_kline")]
    (event,) = minutes.events()
    assert (event.field, event.observed, event.expected, event.severity) == (None, None, None, Severity.INFO)
    assert (event.source_topic, event.source_offset) == ("md.candles", 1)
    check_quality_event(event)


def test_candle_that_comes_after_it_was_missed_makes_the_minute_well_again() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0), kline(1), candle(PAST + 1)) == [(1, "missing_candle")]
    assert minutes.take(candle(1)) == [(1, "equal")]
    assert [(event.field, event.source_topic) for event in minutes.events()][-1] == (None, "md.candles")


def test_kline_that_comes_after_it_was_missed_makes_the_minute_well_again() -> None:
    minutes = Minutes()
    assert minutes.take(kline(0), candle(1), kline(PAST + 1)) == [(1, "missing_kline")]
    assert minutes.take(kline(1)) == [(1, "equal")]
    assert [(event.detail[:9], event.source_topic) for event in minutes.events()][-1] == ("our candl", "md.klines")


def test_nothing_is_missed_of_the_time_before_a_topic_begins() -> None:
    minutes = Minutes()
    assert minutes.take(kline(0), kline(1), candle(2)) == []
    assert minutes.take(candle(PAST + 1)) == [(0, "not_covered"), (1, "not_covered")]
    minutes = Minutes()
    assert minutes.take(candle(0), candle(1), kline(2)) == []
    assert minutes.take(kline(PAST + 1)) == [(0, "not_stated"), (1, "not_stated")]


def test_klines_of_another_interval_than_the_candles_say_nothing_of_them() -> None:
    minutes = Minutes()
    hour = kline(0, interval="1h", received_at=START + 60 * MINUTE)
    assert minutes.take(candle(0), hour) == [(0, "not_stated")]


def test_kline_of_an_interval_that_no_candle_has_is_counted() -> None:
    assert Minutes().take(kline(0, interval="1w")) == [(0, "other_interval")]


def test_venue_that_does_not_say_what_is_closed_has_closed_it_when_the_next_begins() -> None:
    minutes = Minutes(BITGET)
    pushes = [kline(0, volume, is_closed=False, received_at=START + volume) for volume in (1, 2, 3)]
    assert minutes.take(*pushes, candle(0, 3)) == []
    assert minutes.take(kline(1, 1, is_closed=False)) == [(0, "equal")]
    assert minutes.events() == []


def test_open_kline_of_a_venue_that_says_what_is_closed_is_left_alone() -> None:
    minutes = Minutes()
    assert minutes.take(candle(0, 3), kline(0, 2, is_closed=False), kline(1, 1, is_closed=False)) == []
    assert minutes.take(kline(0, 3)) == [(0, "equal")]


def test_open_by_the_rule_is_the_close_of_the_kline_before() -> None:
    minutes = Minutes(RULES["bybit"])
    opens = {"open": 90 * ONE, "low": 90 * ONE}
    minutes.take(candle(0), kline(0), candle(1), kline(1, **opens))
    assert minutes.verdicts[-1].differences == (
        Difference("open", 100 * ONE, 90 * ONE),
        Difference("low", 100 * ONE, 90 * ONE),
    )
    minutes = Minutes(RULES["bybit"])
    minutes.take(candle(0), kline(0, close=90 * ONE, low=90 * ONE), candle(1), kline(1, **opens))
    assert minutes.verdicts[-1].outcome is Outcome.EQUAL


def test_what_is_held_is_bounded_and_what_was_not_answered_is_counted() -> None:
    minutes, last = Minutes(), 3 * HORIZON // MINUTE
    found = [outcome for minute in range(last) for outcome in minutes.take(candle(minute))]
    held = minutes.reconciliation.candles.held
    assert len(held) <= HORIZON // MINUTE + 1
    assert found == [(minute, "unanswered") for minute in range(last - len(held))]
    assert minutes.take(candle(0, revision=2), kline(last)) == [(0, "beyond_horizon")] + [
        (minute, "not_stated") for minute in range(last - len(held), last - PAST + 1)
    ]


def test_kline_with_a_time_far_ahead_does_not_make_the_others_too_late() -> None:
    minutes = Minutes()
    far = kline(0, interval="1d")
    assert minutes.take(candle(0), far, kline(0)) == [(0, "equal")]


def test_candle_that_turns_out_not_to_be_covered_takes_its_difference_back() -> None:
    minutes = Minutes()
    first = candle(0, complete=False, gap=True)
    assert minutes.take(first, kline(0, 2), candle(0, revision=2, complete=False)) == [(0, "different"), (0, "not_covered")]
    assert [event.field for event in minutes.events()] == ["volume", "amount", "trade_count", None]


def test_candle_that_only_carries_the_close_needs_no_kline() -> None:
    minutes = Minutes()
    nothing_traded = candle(0)._replace(trade_count=0, volume=0, amount=0)
    assert (0, "empty") in minutes.take(nothing_traded, kline(-1), kline(PAST + 1))
    assert minutes.events() == []


def test_kline_that_begins_within_a_minute_is_of_no_interval_of_ours() -> None:
    minutes = Minutes()
    assert minutes.take(kline(0)._replace(open_time=START + 1)) == [(0, "other_interval")]
    assert minutes.reconciliation.klines.held == {}
