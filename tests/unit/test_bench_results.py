"""What the benchmark compares and computes: final candles, figures of runs, percentiles, latencies, ratios, settings."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stream.fold import FinalCandle, first_difference, fold, joined
from benchmarks.stream.live import Sent, latencies
from benchmarks.stream.load import Load, SchemaIds, Tick, instrument_names
from benchmarks.stream.options import OptionError, read_options
from benchmarks.stream.outputs import FIXED, Output, Version, decode_fixed, decode_json, final_versions
from benchmarks.stream.programs import librdkafka_candles
from benchmarks.stream.report import ratios
from benchmarks.stream.samples import Sample, at_records, medians, percentile, run_figures
from market import candle as monoid
from market.trade import Trade

START = 1_790_000_040_000_000
CANDLE = FinalCandle(100, 120, 90, 110, 5, 510, 3)


LATE_IN_A_MINUTE = START - START % 60_000_000 + 59_000_000
LOAD = Load(1, LATE_IN_A_MINUTE, SchemaIds(1, 2), instrument_names(20))
TICKS = [record.tick for record in LOAD.records(10_000) if record.tick is not None]


def trade(tick: Tick) -> Trade:
    text = str(tick.id)
    return Trade(tick.instrument, text, tick.id, tick.price, tick.size, "buy", tick.event_time, tick.event_time, text, text)


def test_independent_fold_gives_the_candles_of_the_monoid() -> None:
    distinct = list(dict.fromkeys(TICKS))
    assert len(distinct) < len(TICKS)
    for (instrument, open_time), candle in fold(TICKS).items():
        inside = [trade(t) for t in distinct if t.instrument == instrument and 0 <= t.event_time - open_time < 60_000_000]
        whole = monoid.fold(inside)
        assert whole is not None
        figures = (whole.open, whole.high, whole.low, whole.close, whole.volume, whole.amount, whole.trade_count)
        assert candle == figures


@given(st.integers(0, 1_000))
def test_candles_of_two_stretches_join_to_those_of_both(cut: int) -> None:
    found = TICKS[:1_000]
    assert joined(fold(found[:cut]), fold(found[cut:])) == fold(found)


def test_first_difference_is_named() -> None:
    expected = {("sim:A", 60): CANDLE, ("sim:B", 0): CANDLE}
    assert first_difference(expected, dict(expected)) is None
    other = {**expected, ("sim:B", 0): CANDLE._replace(volume=6), ("sim:C", 0): CANDLE}
    difference = first_difference(expected, other)
    assert difference is not None
    assert difference.startswith("sim:B at 0: ")
    assert "volume 6" in difference
    assert first_difference(expected, {("sim:B", 0): CANDLE}) == (
        "sim:A at 60: no candle instead of open 100, high 120, low 90, close 110, volume 5, amount 510, trade_count 3"
    )


@given(st.integers(-(2**127), 2**127 - 1))
def test_fixed_values_carry_an_exact_amount(amount: int) -> None:
    value = FIXED.pack(9, 3, 100, 120, 90, 110, 5, amount >> 64, amount & (1 << 64) - 1, 0, 0, 0, 0)
    version = decode_fixed(b"sim:A|1m|60000000", value, 4)
    assert version == Version(("sim:A", 60_000_000), CANDLE._replace(amount=amount), 9, (0, 4), closed=True)


def test_json_values_are_read() -> None:
    value = b'{"open":100,"high":120,"low":90,"close":110,"last_id":9,"volume":"5","amount":"510","trade_count":3}'
    assert decode_json(b"sim:A|1m|0", value, 4) == Version(("sim:A", 0), CANDLE, 9, (0, 4), closed=True)


def test_final_version_is_the_one_of_the_highest_order_wherever_it_stands() -> None:
    first, second = (Version(("sim:A", 0), CANDLE, 9, order, closed=True) for order in ((1, 5), (0, 9)))
    assert final_versions([Output(first, 1), Output(second, 2)]) == {("sim:A", 0): first}


def test_hand_decoder_reads_what_the_load_writes() -> None:
    load = Load(1, START, SchemaIds(1, 2), instrument_names())
    for record in load.records(4_000):
        if record.tick is not None:
            assert librdkafka_candles.decode(record.value) == (
                record.tick.id,
                record.tick.event_time,
                record.tick.price,
                record.tick.size,
            )


SAMPLES = [
    Sample(2.0, 1.5, 0, 80_000_000),
    Sample(3.0, 2.0, 0, 90_000_000),
    Sample(4.0, 3.0, 400, 95_000_000),
    Sample(5.0, 3.5, 1_000, 92_000_000),
]


def test_figures_of_a_run_count_from_its_first_commit() -> None:
    figures = run_figures(SAMPLES)
    assert figures["records_per_cpu_second"] == 600 / 0.5
    assert figures["records_per_second"] == 600
    assert figures["start_cpu_seconds"] == 3.0


def test_figures_with_the_start_of_a_run_are_told_too() -> None:
    figures = run_figures(SAMPLES)
    assert figures["records_per_cpu_second_from_assignment"] == 500
    assert figures["records_per_cpu_second_with_start"] == pytest.approx(1_000 / 3.5)
    assert figures["peak_rss_mb"] == 95


def test_second_half_begins_between_the_samples_around_it() -> None:
    seconds, cpu = at_records(SAMPLES, 500)
    assert [seconds, cpu] == pytest.approx([4 + 1 / 6, 3 + 1 / 12])
    assert run_figures(SAMPLES)["records_per_cpu_second_second_half"] == pytest.approx(500 / (3.5 - cpu))


def test_a_run_too_short_to_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        run_figures([Sample(1.0, 1.0, 0, 1), Sample(1.1, 1.2, 10, 1)])
    with pytest.raises(ValueError, match="no sample reaches"):
        at_records(SAMPLES, 1_001)


def test_medians_are_taken_figure_by_figure() -> None:
    assert medians([{"a": 1, "b": 9}, {"a": 3, "b": 7}, {"a": 2, "b": 8}]) == {"a": 2, "b": 8}


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_percentile_is_the_least_value_that_covers_the_share(values: Sequence[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values) + 1e-6


def test_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def output(last_id: int, appended_ms: int, open_time: int = 0) -> Output:
    return Output(Version(("sim:A", open_time), CANDLE, last_id, (0, last_id), closed=False), appended_ms)


def test_latency_runs_to_the_first_version_that_reflects_a_trade() -> None:
    sent = [Sent(("sim:A", 0), number, 1_000 * number) for number in (1, 2, 3)]
    found = latencies(sent, [output(1, 10), output(3, 20), output(3, 30)], since=0)
    assert found == [10 + 1 - 1, 20 + 1 - 2, 20 + 1 - 3]


def test_latency_ignores_trades_of_the_warm_up() -> None:
    sent = [Sent(("sim:A", 0), number, 1_000 * number) for number in (1, 2)]
    assert latencies(sent, [output(2, 10)], since=2_000) == [9]


def test_a_trade_that_no_candle_reflects_is_told() -> None:
    sent = [Sent(("sim:A", 0), 1, 1_000), Sent(("sim:A", 60), 2, 2_000)]
    with pytest.raises(ValueError, match="no candle reflects trade 2 of sim:A"):
        latencies(sent, [output(1, 10)], since=0)


def test_ratios_compare_with_the_warm_half_of_kafka_streams() -> None:
    results = {
        "compiled": {"records_per_cpu_second": 3_000_000, "peak_rss_mb": 100, "latency_p99_ms": 90},
        "compiled_small_batches": {"records_per_cpu_second": 1_500_000},
        "plain": {"records_per_cpu_second": 200_000},
        "plain_faust": {"records_per_cpu_second": 4_000},
        "kafka_streams": {
            "records_per_cpu_second": 200_000,
            "records_per_cpu_second_second_half": 400_000,
            "peak_rss_mb": 400,
            "latency_p99_ms": 100,
        },
    }
    assert ratios(results) == {
        "compiled_vs_kafka_streams_warm": 7.5,
        "compiled_small_batches_vs_kafka_streams_warm": 3.75,
        "plain_vs_kafka_streams_warm": 0.5,
        "plain_vs_plain_faust": 50,
        "rss_vs_kafka_streams": 0.25,
        "latency_p99_vs_kafka_streams": 0.9,
    }


def test_no_ratio_without_both_contestants() -> None:
    assert ratios({"compiled": {"records_per_cpu_second": 3_000_000}}) == {}


def test_settings_come_from_the_environment() -> None:
    options = read_options({"BENCH_RECORDS": "1000000", "BENCH_CONTESTANTS": "b, a"}, ("a", "b", "c"))
    assert options == (1_000_000, 3, ("a", "b"), 30, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("BENCH_RECORDS", "many"), ("BENCH_RECORDS", "10"), ("BENCH_ROUNDS", "0"), ("BENCH_CONTESTANTS", "d")],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=f"{name}.*{value}"):
        read_options({name: value}, ("a", "b", "c"))
