"""The rules of quality, one by one."""

from itertools import pairwise
from statistics import median as exact_median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.quality_event import QualityRule, Severity, of_price, of_whole
from market.rules.book import crossed_book
from market.rules.finding import Finding
from market.rules.gap import gap
from market.rules.outlier import OutlierLimits, median, outlier
from market.rules.refused import Refused, believed_times, is_of_quality, refused
from market.rules.repeated import repeated_quote, repeated_trade
from market.rules.silence import Silence
from market.rules.times import Place, future_time, out_of_order
from market.seen_trades import MAX_HOLES, SeenTrades
from market.trade import GapMark, TimeMark
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import make_quote

SECOND = 1_000_000
SKEW = 5 * SECOND


def rule_of(finding: Finding | None) -> QualityRule | None:
    return None if finding is None else finding.rule


class TestTimes:
    @pytest.mark.parametrize(("ahead", "found"), [(-1, False), (0, False), (SECOND, False), (SECOND + 1, True)])
    def test_time_ahead_of_its_receipt_by_more_than_the_tolerance_is_a_finding(self, ahead: int, found: bool) -> None:
        finding = future_time(START + ahead, START, SECOND)
        assert (finding is not None) is found
        if finding is not None:
            assert (finding.rule, finding.observed) == (QualityRule.FUTURE_TIME, of_whole(START + ahead))

    @pytest.mark.parametrize(
        ("place", "field"),
        [
            (Place(START - 1, 99), "exchange_time"),
            (Place(START, 4), "sequence"),
            (Place(START, 5), None),
            (Place(START + 1, 1), None),
        ],
    )
    def test_record_behind_the_latest_is_out_of_order(self, place: Place, field: str | None) -> None:
        finding = out_of_order(place, Place(START, 5))
        assert (finding and finding.field) == field
        assert out_of_order(place, None) is None


class TestRepeated:
    def test_trade_id_seen_before_is_a_duplicate(self) -> None:
        seen = SeenTrades()
        found = [rule_of(repeated_trade(make_trade(number), seen)) for number in (1, 2, 1, 3)]
        assert found == [None, None, QualityRule.DUPLICATE, None]

    def test_trade_older_than_the_ids_remembered_is_out_of_order(self) -> None:
        seen = SeenTrades()
        for number in range(2, 4 * MAX_HOLES, 2):
            repeated_trade(make_trade(number), seen)
        assert rule_of(repeated_trade(make_trade(1), seen)) is QualityRule.OUT_OF_ORDER

    def test_quote_written_twice_is_a_duplicate_wherever_it_is_written_again(self) -> None:
        seen, quotes = SeenTrades(), [make_quote(bid=price) for price in (1, 2)]
        assert [rule_of(repeated_quote(quote, seen)) for quote in quotes] == [None, None]
        again = [rule_of(repeated_quote(quote._replace(published_at=START), seen)) for quote in quotes]
        assert again == [QualityRule.DUPLICATE, QualityRule.DUPLICATE]

    def test_quote_without_moment_may_be_said_again_later(self) -> None:
        seen, quote = SeenTrades(), make_quote(bid=1)._replace(sequence=None, exchange_time=None)
        assert repeated_quote(quote, seen) is None
        assert repeated_quote(quote._replace(received_at=quote.received_at + 1), seen) is None

    def test_quote_of_the_same_moment_received_again_is_a_duplicate(self) -> None:
        seen, quote = SeenTrades(), make_quote(bid=1)._replace(exchange_time=START)
        assert repeated_quote(quote, seen) is None
        assert rule_of(repeated_quote(quote._replace(received_at=START + 9), seen)) is QualityRule.DUPLICATE


class TestOutlier:
    LIMITS = OutlierLimits(window=10, deviations=5 * ONE, percent=ONE)

    @given(st.lists(st.integers(1, 10**30), min_size=1))
    def test_median_is_the_middle_rounded_down(self, values: list[int]) -> None:
        assert median(values) == (
            int(exact_median(values)) if len(values) % 2 else sum(sorted(values)[len(values) // 2 - 1 :][:2]) // 2
        )

    def test_price_far_from_its_neighbours_is_an_outlier(self) -> None:
        prices = [100 * ONE + number % 3 * ONE // 10 for number in range(10)]
        finding = outlier(103 * ONE, prices, self.LIMITS)
        assert finding is not None
        assert (finding.observed, finding.expected) == (of_price(103 * ONE), of_price(100 * ONE + ONE // 10))
        assert outlier(100 * ONE, prices, self.LIMITS) is None

    def test_distance_must_be_beyond_both_limits(self) -> None:
        calm = [100 * ONE + number % 2 for number in range(10)]
        assert outlier(101 * ONE, [*calm], self.LIMITS) is None  # many deviations, but no more than one per cent
        wild = [100 * ONE + number * ONE for number in range(10)]
        assert outlier(115 * ONE, [*wild], self.LIMITS) is None  # more than one per cent, but few deviations
        assert outlier(150 * ONE, [*wild], self.LIMITS) is not None

    def test_nothing_is_judged_before_half_a_window(self) -> None:
        prices: list[int] = []
        assert [outlier(price * ONE, prices, self.LIMITS) for price in (1, 100, 10_000, 1, 10_000)] == [None] * 5

    def test_lasting_jump_is_the_new_level_after_half_a_window(self) -> None:
        prices = [100 * ONE + number % 2 for number in range(10)]
        found = [outlier(200 * ONE + number % 2, prices, self.LIMITS) is not None for number in range(10)]
        assert found == sorted(found, reverse=True)
        assert 4 <= sum(found) <= 6

    @given(st.lists(st.integers(1, 10**26)))
    def test_memory_is_bounded_and_holds_no_repetitions(self, found: list[int]) -> None:
        prices: list[int] = []
        for price in found:
            outlier(price, prices, self.LIMITS)
        assert len(prices) <= 10
        assert all(one != other for one, other in pairwise(prices))

    @given(st.integers(1, 10**26), st.lists(st.integers(-1000, 1000), min_size=1, max_size=50))
    def test_prices_within_the_least_distance_are_never_outliers(self, level: int, moves: list[int]) -> None:
        prices: list[int] = []
        for move in moves:  # of at most 0.1 % each way
            assert outlier(level * 1_000_000 + level * move, prices, self.LIMITS) is None


class TestBook:
    @pytest.mark.parametrize(
        ("bid", "ask", "severity"),
        [(99, 100, None), (100, 100, Severity.WARNING), (101, 100, Severity.ERROR), (None, 100, None), (99, None, None)],
    )
    def test_bid_at_or_above_the_ask_is_a_finding(self, bid: int | None, ask: int | None, severity: Severity | None) -> None:
        finding = crossed_book(make_quote(bid=1)._replace(bid=bid, ask=ask))
        assert (finding and finding.severity) == severity


class TestGap:
    @pytest.mark.parametrize(
        ("mark", "latest", "severity", "length"),
        [
            (GapMark(INSTRUMENT, START, START + 5), START, Severity.WARNING, 5),
            (GapMark(INSTRUMENT, None, START + 5), START, Severity.WARNING, 5),
            (GapMark(INSTRUMENT, None, START + 5), START + 9, Severity.WARNING, 0),
            (GapMark(INSTRUMENT, START, START + 5, healed=True), START, Severity.INFO, 5),
            (GapMark(INSTRUMENT, None, START), 0, Severity.INFO, None),
        ],
    )
    def test_gap_tells_its_length(self, mark: GapMark, latest: int, severity: Severity, length: int | None) -> None:
        finding = gap(mark, latest)
        assert (finding.severity, finding.observed) == (severity, None if length is None else of_whole(length))


class TestSilence:
    def test_silence_is_told_once_when_it_begins_and_once_when_it_ends(self) -> None:
        silence = Silence()
        assert silence.trade(START, START, 3 * SECOND) is None
        marks = [silence.mark(START + number * SECOND, 3 * SECOND) for number in range(1, 6)]
        assert [finding and finding.severity for finding in marks] == [None, None, Severity.WARNING, None, None]
        ended = silence.trade(START + 6 * SECOND, START + 6 * SECOND, 3 * SECOND)
        assert ended is not None
        assert (ended.severity, ended.observed) == (Severity.INFO, of_whole(6 * SECOND))

    def test_stream_of_marks_alone_is_stale_from_its_first_mark_on(self) -> None:
        silence = Silence()
        marks = [silence.mark(START + number * SECOND, 3 * SECOND) for number in range(5)]
        assert [finding is not None for finding in marks] == [False, False, False, True, False]

    def test_late_trade_does_not_end_a_silence(self) -> None:
        silence = Silence(START, is_stale=True)
        assert silence.trade(START + 1, START + 10 * SECOND, 3 * SECOND) is None
        assert silence.is_stale


class TestRefused:
    def test_price_of_zero_is_not_positive(self) -> None:
        record = make_trade()._replace(price=0)
        finding = refused(Refused(record, "not_positive", "price", "price: 0 is not above zero", START, SKEW))
        assert finding[:5] == (QualityRule.NOT_POSITIVE, Severity.ERROR, "price", 0, None)

    def test_price_of_too_many_digits_is_not_told(self) -> None:
        record = make_trade()._replace(price=-(10**60))
        assert refused(Refused(record, "not_positive", "price", "too long", START, SKEW)).observed is None

    def test_time_beyond_the_skew_tells_the_limit(self) -> None:
        record = make_trade(at=START + 9 * SECOND, received_at=START)
        finding = refused(Refused(record, "future_time", "exchange_time", "ahead", START, SKEW))
        assert (finding.observed, finding.expected) == (of_whole(START + 9 * SECOND), of_whole(START + SKEW))

    @pytest.mark.parametrize(
        ("record", "times"),
        [
            (make_trade(at=START - SECOND, received_at=START), (START - SECOND, START)),
            (make_trade(at=START + 9 * SECOND, received_at=START), (START, START)),
            (make_trade(at=START, received_at=2 * START), (START, START)),
            (make_trade(at=0, received_at=0), (START, START)),
            (TimeMark(INSTRUMENT, 2 * START), (START, START)),
            (make_quote(bid=0)._replace(received_at=2 * START, exchange_time=2 * START), (START, START)),
        ],
    )
    def test_times_that_cannot_be_are_replaced_by_the_brokers(self, record: object, times: tuple[int, int]) -> None:
        assert believed_times(Refused(record, "future_time", None, "", START, SKEW)) == times  # type: ignore[arg-type]

    def test_what_is_undecodable_is_no_matter_of_quality(self) -> None:
        assert [is_of_quality(reason) for reason in ("not_positive", "future_time", "undecodable", "wrong_key")] == [
            True,
            True,
            False,
            False,
        ]
