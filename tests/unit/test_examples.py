"""The examples' arithmetic against published figures, their candles under disorder, and what they are made of."""

import ast
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import closed_candles
from examples.closed_candles import KEPT, WINDOW, ClosedCandles
from examples.consumer import Versions, line
from examples.formulas import ema, rsi
from tests import java_example
from tests.unit.test_architecture import PACKAGES, imports

EXAMPLES = Path(closed_candles.__file__).parent

# StockCharts, ChartSchool, "Moving Averages": its 10-day example, computed from closes with more places than it tells.
EMA_CLOSES = (
    "22.27 22.19 22.08 22.17 22.18 22.13 22.23 22.43 22.24 22.29 22.15 22.39 22.38 22.61 23.36 24.05 23.75 23.83 23.95 23.63 "
    "23.82 23.87 23.65 23.19 23.10 23.33 22.68 23.10 22.40 22.17"
)
EMA_TOLD = (
    "22.22 22.21 22.24 22.27 22.33 22.52 22.80 22.97 23.13 23.28 23.34 23.43 23.51 23.54 23.47 23.40 23.39 23.26 23.23 23.08 "
    "22.92"
)
# StockCharts, ChartSchool, "Relative Strength Index (RSI)": its example of 14 days.
RSI_CLOSES = (
    "44.3389 44.0902 44.1497 43.6124 44.3278 44.8264 45.0955 45.4245 45.8433 46.0826 45.8931 46.0328 45.6140 46.2820 46.2820 "
    "46.0028 46.0328 46.4116 46.2222 45.6439 46.2122 46.2521 45.7137 46.4515 45.7835 45.3548 44.0288 44.1783 44.2181 44.5672 "
    "43.4205 42.6628 43.1314"
)
RSI_TOLD = (
    "70.5328 66.3186 66.5498 69.4063 66.3552 57.9749 62.9296 63.2571 56.0593 62.3771 54.7076 50.4228 39.9898 41.4605 41.8689 "
    "45.4632 37.3040 33.0795 37.7730"
)

# Wilder, "New Concepts in Technical Trading Systems" (1978), section VI; he cut every intermediate figure at two places.
WILDERS_CLOSES = (
    "54.80 56.80 57.85 59.85 60.57 61.10 62.17 60.60 62.35 62.15 62.35 61.45 62.80 61.37 62.50 62.57 60.80 59.37 60.35 62.35 "
    "62.17 62.55 64.55 64.37 65.30 64.42 62.90 61.60 62.05 60.05 59.70 60.90 60.25 58.27 58.70 57.72 58.10 58.20"
)
WILDERS_TOLD = (
    "74.36 74.55 65.75 59.68 61.98 66.44 65.75 67.00 71.43 70.50 72.14 67.95 60.78 55.56 56.71 49.49 48.19 52.38 50.00 43.50 "
    "45.36 42.53 44.13 44.75"
)


def decimals(text: str) -> list[Decimal]:
    return [Decimal(word) for word in text.split()]


def told(value: Decimal | None) -> Decimal:
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("formula", "length", "closes", "published", "within"),
    [
        (ema, 10, EMA_CLOSES, EMA_TOLD, "0.01"),
        (rsi, 14, RSI_CLOSES, RSI_TOLD, "0.00005"),
        (rsi, 14, WILDERS_CLOSES, WILDERS_TOLD, "0.53"),
    ],
)
def test_values_are_those_published(formula: Any, length: int, closes: str, published: str, within: str) -> None:
    series, expected = decimals(closes), decimals(published)
    first = len(series) - len(expected)
    assert formula(series[:first], length) is None
    for number, value in enumerate(expected, start=first + 1):
        assert abs(told(formula(series[:number], length)) - value) <= Decimal(within), number


def test_values_checked_by_hand() -> None:
    # EMA of 3: (1 + 2 + 6) / 3 = 3, then 3 + (5 - 3) / 2 = 4, then 4 + (1 - 4) / 2 = 2.5.
    assert ema(decimals("1 2 6 5 1"), 3) == Decimal("2.5")
    # RSI of 2: changes +2, -1, +3: gains (2 + 0) / 2 = 1, (1 + 3) / 2 = 2; losses 0.5, 0.25: 100 × 2 / 2.25.
    assert rsi(decimals("1 3 2 5"), 2) == Decimal("88.888888888889")


@pytest.mark.parametrize(("closes", "value"), [("1 2 3 4", 100), ("4 3 2 1", 0), ("2 2 2 2", None), ("1 2", None)])
def test_rsi_at_its_ends(closes: str, value: int | None) -> None:
    assert rsi(decimals(closes), 2) == value


@given(st.lists(st.decimals("0.000000000001", 10**26, places=12), min_size=1, max_size=60))
def test_values_lie_between_the_bounds_of_their_kind(closes: list[Decimal]) -> None:
    average, strength = ema(closes, 5), rsi(closes, 5)
    assert average is None or min(closes) <= average <= max(closes)
    assert strength is None or 0 <= strength <= 100


def candle(minute: int, close: int, revision: int = 1, offset: int = 0) -> dict[str, Any]:
    opened = datetime(2024, 8, 9, tzinfo=UTC) + timedelta(minutes=minute)
    return {
        "instrument": "sim:A-USD",
        "interval": "1m",
        "open_time": opened,
        "kind": "CLOSE" if revision else "UPDATE",
        "revision": revision,
        "source_offset": offset,
        "is_closed": revision > 0,
        **dict.fromkeys(("open", "high", "low", "close", "volume", "amount"), Decimal(close)),
    }


versions = st.builds(candle, st.integers(0, 30), st.integers(1, 9), st.integers(0, 3), st.integers(0, 50))


@given(
    st.lists(versions, max_size=60, unique_by=lambda one: (one["open_time"], one["revision"], one["source_offset"])), st.data()
)
def test_only_the_highest_versions_of_closed_candles_count(found: list[dict[str, Any]], data: st.DataObject) -> None:
    arrived = found + data.draw(st.lists(st.sampled_from(found), max_size=20)) if found else []
    arrived = data.draw(st.permutations(arrived))
    series = ClosedCandles()
    for one in arrived:
        series.take(one)
    closed = sorted((one for one in found if one["is_closed"]), key=lambda one: (one["revision"], one["source_offset"]))
    final = {one["open_time"]: one["close"] for one in closed}
    for time in final:
        assert series.closes(time) == [final[before] for before in sorted(final) if before <= time]


def test_a_new_candle_changes_its_own_window_and_a_correction_those_behind_it() -> None:
    series = ClosedCandles()
    times = [candle(minute, 1)["open_time"] for minute in range(WINDOW + 50)]
    for minute in range(WINDOW + 50):
        assert series.take(candle(minute, minute + 1, offset=minute)) == [times[minute]]
    assert series.take(candle(20, 7, revision=1, offset=20)) == []
    assert series.take(candle(20, 7, revision=2, offset=900)) == times[20 : 20 + WINDOW]
    assert series.closes(times[20])[-1] == 7
    assert len(series.closes(times[-1])) == WINDOW


def test_candles_beyond_what_is_remembered_are_let_go() -> None:
    series = ClosedCandles()
    for minute in range(KEPT + 10):
        series.take(candle(minute, 1))
    assert series.take(candle(3, 5, revision=2)) == []
    assert len(series.take(candle(10, 5, revision=2))) == WINDOW


def test_versions_rise_by_revision_and_then_by_offset() -> None:
    seen = Versions()
    arrived = [(0, 5), (0, 4), (0, 5), (1, 3), (0, 9), (1, 3), (1, 4)]
    assert [seen.is_new(candle(0, 1, revision, offset)) for revision, offset in arrived] == [1, 0, 0, 1, 0, 0, 1]
    assert seen.is_new(candle(1, 1, 0, 0))


def test_a_line_has_every_digit() -> None:
    shown = candle(0, 1) | {"close": Decimal("12345678901234567890123456.000000000001")}
    assert "2024-08-09T00:00:00Z CLOSE revision=1" in line(shown)
    assert "close=12345678901234567890123456.000000000001 " in line(shown)


def test_the_examples_import_nothing_of_ours() -> None:
    files = list(EXAMPLES.glob("*.py"))
    assert len(files) > 3
    for path in files:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
        assert not {name.partition(".")[0] for name in imports(path)} & set(PACKAGES), path


def test_the_java_example_is_tested_with_what_its_project_asks_for() -> None:
    coordinates = [artifact.coordinates for artifact in java_example.artifacts()]
    assert {java_example.COMPILER, *java_example.dependencies()} <= set(coordinates), "run: python -m tests.java_example"
    assert len(java_example.dependencies()) == 3
    names = [one.rpartition(":")[0] for one in coordinates]
    assert len(set(names)) == len(names)
