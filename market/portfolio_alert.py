"""Alerts of portfolios, and the last valuation of each of their days: functions of their valuations in their order."""

from __future__ import annotations

from typing import NamedTuple

from market.decimals import AMOUNT_PRECISION
from market.errors import DataValidationError
from market.limits import Crossing, Figures, LimitKind, Watch, watch_limits
from market.portfolio_commands import check_name
from market.quality import check_time, check_whole
from market.valuation_record import Valuation

_MOST_PROFIT = 10**AMOUNT_PRECISION // 2

Source = tuple[str, int, int]
"""Topic, partition and offset of a valuation."""


class Alert(NamedTuple):
    """A limit of a portfolio was breached, or is kept again; amounts at scale 24, ages in seconds at that scale.

    `value` is None where the limit was taken away while it was breached. `oldest_price_at` is the time of the oldest price that
    the figures are of, `as_of` that of the latest record that was known then. The source is the valuation.
    """

    portfolio_id: str
    kind: LimitKind
    is_breached: bool
    value: int | None
    threshold: int
    clears_at: int
    base_currency: str
    position_version: int
    oldest_price_at: int | None
    as_of: int | None
    valued_at: int
    source_topic: str
    source_partition: int
    source_offset: int


class Watched(NamedTuple):
    """What is remembered of a portfolio: its limits, and which valuation was the last."""

    watch: Watch = Watch()
    generation: int = -1
    sequence: int = -1


class Seen(NamedTuple):
    """What comes of a valuation: `ends_day` says that the one before it was the last of its day."""

    watched: Watched
    alerts: tuple[Alert, ...]
    ends_day: bool


def see(watched: Watched, valuation: Valuation, source: Source) -> Seen:
    """Take a valuation in; one that is older than the last, of a worker that was replaced meanwhile, changes nothing."""
    if (valuation.generation, valuation.sequence) <= (watched.generation, watched.sequence):
        return Seen(watched, (), ends_day=False)
    day, before = valuation.day_end_at, watched.watch.day
    watch, crossings = watch_limits(watched.watch, valuation.limits, _figures(valuation))
    alerts = tuple(_alert(valuation, crossing, source) for crossing in crossings)
    ends_day = day is not None and before is not None and day > before
    return Seen(Watched(watch, valuation.generation, valuation.sequence), alerts, ends_day)


def _figures(valuation: Valuation) -> Figures:
    parts = valuation.realised_pnl, valuation.income, valuation.unrealised_pnl
    profit = None if valuation.equity is None or None in parts else sum(part for part in parts if part is not None)
    if profit is not None and abs(profit) >= _MOST_PROFIT:  # not known to alerts, as what it is below another may not fit
        profit = None
    return Figures(
        gross=valuation.gross_exposure,
        net=valuation.net_exposure,
        is_whole=not valuation.left_out,
        profit=profit,
        oldest_price_at=valuation.oldest_price_at,
        valued_at=valuation.valued_at,
        day=valuation.day_end_at,
    )


def _alert(valuation: Valuation, crossing: Crossing, source: Source) -> Alert:
    return Alert(
        portfolio_id=valuation.portfolio_id,
        kind=crossing.limit.kind,
        is_breached=crossing.is_breached,
        value=crossing.value,
        threshold=crossing.limit.threshold,
        clears_at=crossing.limit.clears_at,
        base_currency=valuation.base_currency,
        position_version=valuation.position_version,
        oldest_price_at=valuation.oldest_price_at,
        as_of=valuation.as_of,
        valued_at=valuation.valued_at,
        source_topic=source[0],
        source_partition=source[1],
        source_offset=source[2],
    )


def check_alert(alert: Alert) -> Alert:
    """Return an alert unchanged that says of whom, when and why it is. Raises DataValidationError."""
    check_name(alert.portfolio_id, field="portfolio_id")
    for name in ("valued_at", "oldest_price_at", "as_of"):
        time = getattr(alert, name)
        if time is not None:
            check_time(time, field=name)
    check_whole(alert.position_version, field="position_version")
    if alert.is_breached and (alert.value is None or alert.value <= alert.threshold):
        raise DataValidationError("inconsistent", "value: is not above the threshold", field="value")
    return alert
