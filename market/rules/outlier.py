"""Prices far from those around them.

The Hampel identifier (Davies, Gather, "The identification of multiple outliers", Journal of the American Statistical
Association 88, 1993): a value is an outlier when it is further from the median of its neighbours than so many times 1.4826
times their median absolute deviation (MAD), which is the standard deviation where values are normal. Neighbours are the prices
before, as the ones after are not known yet. A least distance in per cent of the median is asked for, too, for prices that
hardly move (the granularity of Brownlees, Gallo, "Financial econometric analysis at ultra-high frequency", Computational
Statistics & Data Analysis 51, 2006).

A price that repeats the one before it is no new neighbour. An outlier is one: after a lasting jump half a window of prices
makes the new level the median.
"""

from __future__ import annotations

from dataclasses import dataclass

from market.decimals import ONE, format_decimal
from market.quality_event import QualityRule, Severity, of_price
from market.rules.finding import Finding

_MAD_TO_DEVIATION = 14_826  # in ten-thousandths
_TEN_THOUSAND = 10_000


@dataclass(frozen=True, slots=True)
class OutlierLimits:
    """`window`: how many prices are remembered; nothing is judged before half of them are there.

    `deviations` (a multiple of 1.4826 MAD) and `percent` (of the median), both at scale 12: an outlier is beyond both.
    """

    window: int = 60
    deviations: int = 10 * ONE
    percent: int = ONE // 2


def outlier(price: int, prices: list[int], limits: OutlierLimits) -> Finding | None:
    """OUTLIER when a price is too far from the recent `prices`, of which it becomes one."""
    found = _judge(price, prices, limits) if 2 * len(prices) >= limits.window else None
    if not prices or prices[-1] != price:
        prices.append(price)
        del prices[: -limits.window]
    return found


def _judge(price: int, prices: list[int], limits: OutlierLimits) -> Finding | None:
    middle = median(prices)
    distance = abs(price - middle)
    if distance * 100 * ONE <= limits.percent * middle:
        return None
    spread = median([abs(one - middle) for one in prices])
    if distance * ONE * _TEN_THOUSAND <= limits.deviations * spread * _MAD_TO_DEVIATION:
        return None
    return Finding(
        QualityRule.OUTLIER,
        Severity.WARNING,
        "price",
        of_price(price),
        of_price(middle),
        f"the median of the last {len(prices)} prices is {format_decimal(middle)}, "
        f"their median absolute deviation {format_decimal(spread)}",
    )


def median(values: list[int]) -> int:
    """The middle value; of two middle ones the mean, rounded down."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) // 2
