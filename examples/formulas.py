"""Moving averages and Wilder's RSI of closing prices, in decimal arithmetic.

These figures are quotients and no finite decimals. They are computed with 50 significant digits, rounded half-even at each
step, and told with 12 decimal places: equal closes give equal text on every machine and in every language with such decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from itertools import pairwise

_ARITHMETIC = Context(prec=50, rounding=ROUND_HALF_EVEN)
_TOLD = Decimal("1e-12")


def ema(closes: Sequence[Decimal], length: int) -> Decimal | None:
    """Exponential moving average after the last of `closes`; None while there are fewer than `length`.

    Begins with the mean of the first `length` closes; then EMA = EMA' + 2 / (length + 1) × (close - EMA').
    Source: Murphy, "Technical Analysis of the Financial Markets" (1999), ch. 9; StockCharts, ChartSchool, "Moving Averages".
    """
    if len(closes) < length:
        return None
    with localcontext(_ARITHMETIC):
        average, weight = _mean(closes[:length]), Decimal(2) / (length + 1)
        for close in closes[length:]:
            average += weight * (close - average)
        return average.quantize(_TOLD)


def rsi(closes: Sequence[Decimal], length: int) -> Decimal | None:
    """Relative strength index after the last of `closes`, 0 to 100; None while there are fewer than `length` changes.

    Average gain and average loss begin with the mean over the first `length` changes; then average = (average' × (length - 1) +
    now) / length. RSI = 100 - 100 / (1 + gain / loss), which is 100 × gain / (gain + loss). None, too, where nothing moved.
    Source: Wilder, "New Concepts in Technical Trading Systems" (1978), section VI.
    """
    if len(closes) <= length:
        return None
    with localcontext(_ARITHMETIC):
        changes = [after - before for before, after in pairwise(closes)]
        gain = _smoothed([max(change, Decimal()) for change in changes], length)
        loss = _smoothed([max(-change, Decimal()) for change in changes], length)
        return (100 * gain / (gain + loss)).quantize(_TOLD) if gain + loss else None


def _smoothed(values: Sequence[Decimal], length: int) -> Decimal:
    average = _mean(values[:length])
    for value in values[length:]:
        average = (average * (length - 1) + value) / length
    return average


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal()) / len(values)
