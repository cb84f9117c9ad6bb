"""Rows of portfolios, their valuations and their alerts. Pure."""

from __future__ import annotations

import json
from typing import Any

from market.decimals import AMOUNT_SCALE, format_decimal
from market.errors import DataValidationError
from market.portfolio import Balance, Policy, Portfolio
from market.portfolio_alert import Alert
from market.position import Position
from market.quality import check_time
from market.valuation_record import UsedRate, Valuation, ValuationLine
from schemas.topics import DAY_ENDS
from sinks.store import KafkaRecord
from sinks.stores._postgres_copy import (
    NULL,
    Row,
    escape,
    figure_or_null,
    flag,
    line,
    month_of,
    text_or_null,
    time_or_null,
    time_text,
)


def portfolio_row(portfolio: Portfolio, _source: KafkaRecord) -> Row:
    """The row of a portfolio: the whole of its latest version, figures as exact text; the source is its command."""
    text = line(
        *(portfolio.portfolio_id, escape(portfolio.base_currency), str(portfolio.version)),
        _json(_policy(portfolio.policy)),
        _json({currency: _amounts(balance) for currency, balance in portfolio.balances.items()}),
        _json({position_id: _position(position) for position_id, position in portfolio.positions.items()}),
        *(time_text(portfolio.created_at), time_text(portfolio.updated_at)),
        *(str(portfolio.source_partition), str(portfolio.source_offset)),
    )
    return Row("portfolios", (portfolio.portfolio_id,), (portfolio.version,), None, text)


def valuation_row(valuation: Valuation, source: KafkaRecord, *, period: int) -> Row:
    """The row of a valuation: the later of one period (microseconds) wins; the last one of a day has a table of its own.

    Raises DataValidationError where that one does not say when its day ends.
    """
    stamp = valuation.generation, valuation.sequence
    portfolio, figures = escape(valuation.portfolio_id), _figures(valuation, source)
    if source.topic == DAY_ENDS.name:
        end = valuation.day_end_at
        if end is None:
            raise DataValidationError(
                "missing", "day_end_at: is not given, which a day's last valuation needs", field="day_end_at"
            )
        month = month_of(check_time(end, field="day_end_at"))
        return Row("day_ends", (valuation.portfolio_id, end), stamp, month, line(portfolio, *figures))
    begin = _begin(valuation.valued_at, period)
    text = line(portfolio, time_text(begin), *figures)
    return Row("valuations", (valuation.portfolio_id, begin), stamp, month_of(begin), text)


def valuation_line_row(found: ValuationLine, source: KafkaRecord, *, period: int) -> Row:
    """The row of a position's line: the later of one period (microseconds) wins."""
    begin, rate = _begin(found.valued_at, period), found.rate
    text = line(
        *(escape(found.portfolio_id), time_text(begin), escape(found.position_id), str(found.position_version)),
        *(escape(found.instrument), escape(found.currency), format_decimal(found.quantity), format_decimal(found.multiplier)),
        *(_amount(found.cost), found.state.value, escape(found.reason), figure_or_null(found.price)),
        *(text_or_null(found.price_choice), text_or_null(found.price_source), time_or_null(found.price_at)),
        *(figure_or_null(found.reference_price), text_or_null(found.reference_kind)),
        *([NULL] * 4 if rate is None else _rate(rate)),
        *map(_amount, (found.value, found.unrealised_pnl, found.base_value, found.base_unrealised_pnl)),
        *(str(found.generation), str(found.sequence), time_text(found.valued_at)),
        *(str(source.partition), str(source.offset)),
    )
    key = found.portfolio_id, begin, found.position_id
    return Row("valuation_lines", key, (found.generation, found.sequence), month_of(begin), text)


def alert_row(alert: Alert, _source: KafkaRecord) -> Row:
    """The row of an alert, which is known by its portfolio, kind and valuation."""
    text = line(
        *(alert.portfolio_id, time_text(alert.valued_at), alert.kind.value, flag(alert.is_breached), _amount(alert.value)),
        *(_amount(alert.threshold), _amount(alert.clears_at), escape(alert.base_currency), str(alert.position_version)),
        *(time_or_null(alert.oldest_price_at), time_or_null(alert.as_of)),
        *(str(alert.source_partition), str(alert.source_offset)),
    )
    key = alert.portfolio_id, alert.valued_at, alert.kind.value, alert.source_partition, alert.source_offset
    return Row("alerts", key, (), month_of(alert.valued_at), text)


def _figures(valuation: Valuation, source: KafkaRecord) -> list[str]:
    amounts = (
        *(valuation.net_exposure, valuation.gross_exposure, valuation.unrealised_pnl, valuation.realised_pnl),
        *(valuation.income, valuation.cash, valuation.equity),
        *(valuation.day_pnl, valuation.day_price_effect, valuation.day_fx_effect),
    )
    return [
        *(escape(valuation.base_currency), str(valuation.position_version), *map(_amount, amounts)),
        *(str(valuation.lines), str(valuation.valued), str(valuation.stale), format_decimal(valuation.coverage_percent)),
        *(time_or_null(valuation.oldest_price_at), _json(valuation.left_out), _json(valuation.without_rate)),
        _json([_named(rate) for rate in valuation.rates]),
        *(time_or_null(valuation.as_of), time_or_null(valuation.day_end_at)),
        *(str(valuation.generation), str(valuation.sequence), time_text(valuation.valued_at)),
        *(str(source.partition), str(source.offset)),
    ]


def _rate(rate: UsedRate) -> tuple[str, ...]:
    return _amount(rate.rate), time_or_null(rate.as_of), _json(rate.sources), flag(rate.is_stale)


def _named(rate: UsedRate) -> dict[str, Any]:
    as_of = None if rate.as_of is None else time_text(rate.as_of)
    return rate._asdict() | {"rate": format_decimal(rate.rate, AMOUNT_SCALE), "as_of": as_of}


def _begin(time: int, period: int) -> int:
    return time - time % period


def _amount(unscaled: int | None) -> str:
    return figure_or_null(unscaled, AMOUNT_SCALE)


def _json(value: Any) -> str:
    return escape(json.dumps(value, sort_keys=True, separators=(",", ":")))


def _amounts(balance: Balance) -> dict[str, str]:
    return {name: format_decimal(amount, AMOUNT_SCALE) for name, amount in balance._asdict().items()}


def _policy(policy: Policy) -> dict[str, Any]:
    limits = {
        limit.kind.value: {"threshold": _amount(limit.threshold), "clears_at": _amount(limit.clears_at)}
        for limit in policy.limits
    }
    return policy._asdict() | {"limits": limits}


def _position(position: Position) -> dict[str, Any]:
    """What is held; its lots and beginnings are in the topic."""
    prices = {name: format_decimal(getattr(position, name)) for name in ("multiplier", "quantity")}
    names = "cost", "realised_pnl", "fees", "funding", "dividends"
    amounts = {name: format_decimal(getattr(position, name), AMOUNT_SCALE) for name in names}
    said = {name: getattr(position, name) for name in ("instrument", "currency", "settlement", "version")}
    return said | prices | amounts | {name: time_text(getattr(position, name)) for name in ("opened_at", "updated_at")}
