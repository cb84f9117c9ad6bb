"""Avro bodies of portfolios, written by hand: the bytes of the codec's own writer, much sooner.

A portfolio is written whole after each of its commands. The fields are those of `portfolio.avsc`, in their order; a test
compares both writers.
"""

from __future__ import annotations

from collections.abc import Iterable

from market.beginnings import Beginning
from market.decimals import AMOUNT_PRECISION, PRECISION
from market.limits import Limit, LimitKind
from market.portfolio import Balance, Policy, Portfolio, PriceChoice, PriceOverride
from market.position import Accounting, Lot, Position, Settlement
from market.traces import Trace
from schemas.primitives import LENGTHS, encode_array, encode_decimal, encode_long, encode_maybe_long, encode_text

_ACCOUNTING = {one: LENGTHS[number] for number, one in enumerate(Accounting)}
_PRICES = {one: LENGTHS[number] for number, one in enumerate(PriceChoice)}
_LIMITS = {one: LENGTHS[number] for number, one in enumerate(LimitKind)}
_SETTLEMENTS = {one: LENGTHS[number] for number, one in enumerate(Settlement)}
_PRICE, _AMOUNT = 10**PRECISION, 10**AMOUNT_PRECISION


def encode_portfolio(portfolio: Portfolio) -> bytes:
    """The body of a portfolio. Raises DataValidationError when a value does not fit its field."""
    return b"".join(
        (
            encode_text(portfolio.portfolio_id),
            encode_text(portfolio.base_currency),
            encode_long(portfolio.version),
            _policy(portfolio.policy),
            encode_array([_balance(currency, balance) for currency, balance in portfolio.balances.items()]),
            encode_array([_position(position) for position in portfolio.positions.values()]),
            encode_array([_override(override) for override in portfolio.overrides.values()]),
            encode_long(portfolio.created_at),
            encode_long(portfolio.updated_at),
            encode_text(portfolio.source_topic),
            encode_long(portfolio.source_partition),
            encode_long(portfolio.source_offset),
            encode_array([_trace(trace) for trace in portfolio.traces]),
        )
    )


def _policy(policy: Policy) -> bytes:
    return b"".join(
        (
            _ACCOUNTING[policy.accounting],
            encode_array([_PRICES[price] for price in policy.prices]),
            encode_long(policy.stale_after),
            encode_long(policy.valuation_period),
            b"\x01" if policy.overdraft else b"\x00",
            encode_limits(policy.limits),
            encode_long(policy.day_ends),
            encode_text(policy.day_zone),
        )
    )


def encode_limits(limits: Iterable[Limit]) -> bytes:
    """Limits as a policy and a valuation have them. Raises DataValidationError when a value does not fit its field."""
    return encode_array([_limit(limit) for limit in limits])


def _limit(limit: Limit) -> bytes:
    return _LIMITS[limit.kind] + encode_decimal(limit.threshold, _AMOUNT) + encode_decimal(limit.clears_at, _AMOUNT)


def _balance(currency: str, balance: Balance) -> bytes:
    return encode_text(currency) + b"".join([encode_decimal(amount, _AMOUNT) for amount in balance])


def _position(position: Position) -> bytes:
    return b"".join(
        (
            encode_text(position.position_id),
            encode_text(position.instrument),
            encode_text(position.currency),
            encode_decimal(position.multiplier, _PRICE),
            _SETTLEMENTS[position.settlement],
            encode_decimal(position.quantity, _PRICE),
            encode_decimal(position.cost, _AMOUNT),
            encode_array([_lot(lot) for lot in position.lots]),
            encode_decimal(position.realised_pnl, _AMOUNT),
            encode_decimal(position.fees, _AMOUNT),
            encode_decimal(position.funding, _AMOUNT),
            encode_decimal(position.dividends, _AMOUNT),
            encode_long(position.opened_at),
            encode_long(position.updated_at),
            encode_long(position.version),
            encode_array([_beginning(one) for one in position.beginnings]),
            encode_maybe_long(position.known_since),
        )
    )


def _beginning(beginning: Beginning) -> bytes:
    return encode_long(beginning.at) + encode_decimal(beginning.quantity, _PRICE) + encode_decimal(beginning.paid, _AMOUNT)


def _trace(trace: Trace) -> bytes:
    return b"".join(
        (
            encode_text(trace.instrument),
            encode_text(trace.currency),
            encode_decimal(trace.multiplier, _PRICE),
            _SETTLEMENTS[trace.settlement],
            encode_decimal(trace.paid, _AMOUNT),
            encode_long(trace.updated_at),
            encode_array([_beginning(one) for one in trace.beginnings]),
            encode_long(trace.known_since),
        )
    )


def _lot(lot: Lot) -> bytes:
    return encode_decimal(lot.quantity, _PRICE) + encode_decimal(lot.cost, _AMOUNT) + encode_long(lot.opened_at)


def _override(override: PriceOverride) -> bytes:
    return b"".join(
        (
            encode_text(override.instrument),
            encode_decimal(override.price, _PRICE),
            encode_text(override.actor),
            encode_text(override.role),
            encode_text(override.reason),
            encode_long(override.set_at),
            encode_long(override.expires_at),
        )
    )
