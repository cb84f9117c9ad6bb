"""Limits of a portfolio's figures, and when they are breached and kept again.

A limit is breached when its figure is above its threshold, and kept again only when it is at or below a lower one, so that a
figure that wavers about a threshold gives one alert (hysteresis). A figure that is not known changes nothing: a limit that is
breached stays so. So it is with exposures of which a part is not known: the gross one may be breached by the known part alone,
but none is kept again before all is known. Figures are in the portfolio's currency at scale 24:

    GROSS_EXPOSURE  gross exposure
    NET_EXPOSURE    net exposure without its sign
    DRAWDOWN        what the profit is below its highest so far
    DAY_DRAWDOWN    what it is below its highest of the portfolio's day
    PRICE_AGE       age of the oldest price when it was valued, in seconds

Profit is that of `market.valuation_record`: realised, unrealised and income, all at the rates of now, so that money that is
brought in or taken out is no profit and no drawdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from market.decimals import AMOUNT_PRECISION, AMOUNT_SCALE
from market.errors import DataValidationError
from market.quality import check_not_negative

_MICROSECOND = int(10 ** (AMOUNT_SCALE - 6))
"""Of an age, which is seconds at the scale of amounts."""


class LimitKind(StrEnum):
    """Which figure is limited."""

    GROSS_EXPOSURE = "GROSS_EXPOSURE"
    NET_EXPOSURE = "NET_EXPOSURE"
    DRAWDOWN = "DRAWDOWN"
    DAY_DRAWDOWN = "DAY_DRAWDOWN"
    PRICE_AGE = "PRICE_AGE"


class Limit(NamedTuple):
    """Above `threshold` it is breached, at or below `clears_at` it is kept again; both at scale 24."""

    kind: LimitKind
    threshold: int
    clears_at: int


class Figures(NamedTuple):
    """What limits are held against; amounts at scale 24, times in microseconds, None is unknown.

    `is_whole`: the exposures are of all positions. `day` names the portfolio's day, by any number that another day has not.
    """

    gross: int | None
    net: int | None
    is_whole: bool
    profit: int | None
    oldest_price_at: int | None
    valued_at: int
    day: int | None


class Watch(NamedTuple):
    """What is remembered of a portfolio: its highest profit ever and of `day`, and the limits that are breached."""

    day: int | None = None
    peak: int | None = None
    day_peak: int | None = None
    breached: Mapping[LimitKind, Limit] = {}


class Crossing(NamedTuple):
    """A limit that was breached, or is kept again; `value` is None where a limit that was breached is no more."""

    limit: Limit
    is_breached: bool
    value: int | None


def watch_limits(watch: Watch, limits: Iterable[Limit], figures: Figures) -> tuple[Watch, list[Crossing]]:
    """What is remembered after new figures, and the limits that were crossed, in their order."""
    watch = _with_peaks(watch, figures)
    breached, crossings = dict(watch.breached), list[Crossing]()
    by_kind = {limit.kind: limit for limit in limits}
    for kind in [kind for kind in breached if kind not in by_kind]:
        crossings.append(Crossing(breached.pop(kind), is_breached=False, value=None))
    for kind, limit in by_kind.items():
        value = _value(kind, watch, figures)
        if kind in breached:
            breached[kind] = limit
        if value is None:
            continue
        if kind not in breached and value > limit.threshold:
            breached[kind] = limit
            crossings.append(Crossing(limit, is_breached=True, value=value))
        elif kind in breached and value <= limit.clears_at and (figures.is_whole or kind is not LimitKind.GROSS_EXPOSURE):
            del breached[kind]
            crossings.append(Crossing(limit, is_breached=False, value=value))
    return watch._replace(breached=breached), crossings


def _with_peaks(watch: Watch, figures: Figures) -> Watch:
    if figures.day != watch.day:
        watch = watch._replace(day=figures.day, day_peak=None)
    if figures.profit is None:
        return watch
    return watch._replace(peak=_higher(watch.peak, figures.profit), day_peak=_higher(watch.day_peak, figures.profit))


def _higher(before: int | None, now: int) -> int:
    return now if before is None else max(before, now)


def _value(kind: LimitKind, watch: Watch, figures: Figures) -> int | None:
    match kind:
        case LimitKind.GROSS_EXPOSURE:
            return figures.gross
        case LimitKind.NET_EXPOSURE:
            return None if figures.net is None or not figures.is_whole else abs(figures.net)
        case LimitKind.DRAWDOWN:
            return _below(watch.peak, figures.profit)
        case LimitKind.DAY_DRAWDOWN:
            return _below(watch.day_peak, figures.profit)
        case LimitKind.PRICE_AGE:
            at = figures.oldest_price_at
            return None if at is None else max(figures.valued_at - at, 0) * _MICROSECOND


def too_old_at(limits: Iterable[Limit], oldest_price_at: int | None) -> int | None:
    """When the oldest price breaches its limit if none is renewed (microseconds); None without such a limit or price."""
    if oldest_price_at is None:
        return None
    thresholds = (limit.threshold for limit in limits if limit.kind is LimitKind.PRICE_AGE)
    return next((oldest_price_at + threshold // _MICROSECOND + 1 for threshold in thresholds), None)


def _below(peak: int | None, profit: int | None) -> int | None:
    return None if peak is None or profit is None else peak - profit


def check_limits(limits: tuple[Limit, ...], *, field: str) -> tuple[Limit, ...]:
    """Return limits unchanged that a policy can have: one of each kind. Raises DataValidationError."""
    if len({limit.kind for limit in limits}) < len(limits):
        raise DataValidationError("inconsistent", f"{field}: at most one of each kind", field=field)
    for limit in limits:
        for value in limit.threshold, limit.clears_at:
            check_not_negative(value, field=field, precision=AMOUNT_PRECISION)
        if limit.clears_at > limit.threshold:
            raise DataValidationError("inconsistent", f"{field}: {limit.kind} clears above its threshold", field=field)
    return limits
