"""Totals by compiled code: sheets of portfolios, kept for as long as those are held as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from market.day_end import UTC_ZONE
from market.errors import DataValidationError
from market.portfolio import Balance
from market.portfolio_totals import Rates, Weights
from market.position import Settlement
from market.valuation_record import currencies_of, used_rates
from processors.built import compiled_module
from processors.holdings.protocol import Weighed
from processors.outputs import Message
from processors.valuing.held import Held
from schemas.portfolio_encoding import encode_limits
from schemas.topics import VALUATIONS
from schemas.valuation_encoding import encode_names, encode_rates

Currencies = tuple[str, ...]
"""A base currency, and all currencies of a portfolio."""

Written = tuple[bytes, Message]
"""What a valuation says, without when it does, and its message."""


class Arithmetic(Protocol):
    """The compiled module."""

    Sheet: Callable[..., Any]
    Rated: Callable[..., Any]

    def write(
        self,
        sheets: Sequence[object],
        values: Weighed,
        began: Weighed,
        rated: Mapping[Currencies, object],
        moments: Mapping[int, bytes],
        header: bytes,
        topic: str,
        latest: int,
    ) -> list[Written | None]:
        """What each sheet says; None for those that the plain way is for."""


def compiled_totals() -> Arithmetic | None:
    """The compiled code; None where it was not built."""
    return cast("Arithmetic | None", compiled_module("processors.valuing.totalling"))


class Sheets:
    """Sheets by portfolio, and their rates. `partition_of` is told by portfolio."""

    def __init__(self, arithmetic: Arithmetic, partition_of: Callable[[str], int]) -> None:
        self._arithmetic = arithmetic
        self._partition_of = partition_of
        self._known: dict[str, tuple[Held, object]] = {}
        self._zoned: set[str] = set()  # those whose days end by a time zone's clock
        self._rates: Rates | None = None
        self._rated: dict[Currencies, object] = {}

    def forget(self, portfolio_id: str) -> None:
        """Let go of a portfolio."""
        self._known.pop(portfolio_id, None)
        self._zoned.discard(portfolio_id)

    def write(
        self,
        found: Sequence[Held],
        weighed: tuple[Weighed, Weighed],
        rates: Rates,
        moment: Callable[[int], bytes],
        header: bytes,
        latest: int,
    ) -> list[Written | None]:
        """What is told of these portfolios; None for those that the plain way is for.

        `moment` tells by partition what `schemas.valuation_encoding.encode_moment` says; the header is that of the record.
        """
        if rates is not self._rates:
            self._rates, self._rated = rates, {}
        sheets = list(map(self._sheet, found))
        made = [sheet for sheet in sheets if sheet is not None]
        for currencies in {sheet.currencies for sheet in made} - self._rated.keys():
            self._rated[currencies] = self._rates_of(rates, *currencies)
        moments = {partition: moment(partition) for partition in {sheet.partition for sheet in made}}
        if self._zoned:
            self._end_days(found, latest)
        return self._arithmetic.write(sheets, *weighed, self._rated, moments, header, VALUATIONS.name, latest)

    def _sheet(self, held: Held) -> Any:
        portfolio_id = held.portfolio.portfolio_id
        known = self._known.get(portfolio_id)
        if known is None or known[0] is not held:
            known = self._known[portfolio_id] = held, self._make(held)
            is_zoned = known[1] is not None and held.portfolio.policy.day_zone != UTC_ZONE
            (self._zoned.add if is_zoned else self._zoned.discard)(portfolio_id)
        return known[1]

    def _end_days(self, found: Sequence[Held], latest: int) -> None:
        """Say when the present day ends of those of which it is not the same every day."""
        for held in found:
            portfolio = held.portfolio
            if portfolio.portfolio_id in self._zoned:
                self._sheet(held).day_end_at = portfolio.policy.day_end_after(max(latest, portfolio.updated_at))

    def _make(self, held: Held) -> object:
        if not held.is_narrow:
            return None
        portfolio = held.portfolio
        currencies = currencies_of(portfolio)
        places = {currency: place for place, currency in enumerate(currencies)}
        groups = [
            (
                group.number,
                places[group.currency],
                group.settlement is Settlement.CASH,
                group.is_long,
                group.lines,
                group.held,
                group.cost,
                group.came,
            )
            for group in held.groups
        ]
        balances = [(places[currency], *_balance(balance)) for currency, balance in portfolio.balances.items()]
        try:
            return self._arithmetic.Sheet(
                (portfolio.base_currency, *currencies),
                portfolio.portfolio_id.encode(),
                self._partition_of(portfolio.portfolio_id),
                encode_names(portfolio.portfolio_id, portfolio.base_currency, portfolio.version),
                encode_limits(portfolio.policy.limits),
                portfolio.updated_at,
                portfolio.policy.day_ends,
                groups,
                balances,
                held.is_day_known,
            )
        except OverflowError:
            return None

    def _rates_of(self, rates: Rates, base: str, *currencies: str) -> object:
        weights = Weights(base, currencies, rates)
        found = [rates.now.rate(currency, base) for currency in currencies]
        try:
            return self._arithmetic.Rated(
                weights.common,
                tuple(map(weights.now.get, currencies)),
                tuple(map(weights.then.get, currencies)),
                tuple(rate is not None and rate.is_stale for rate in found),
                encode_rates(used_rates(base, currencies, rates.now)),
            )
        except (OverflowError, ValueError, DataValidationError):
            return None


def _balance(balance: Balance) -> tuple[bool, int, int, int]:
    return any(balance), balance.cash, balance.realised_pnl, balance.funding + balance.dividends - balance.fees
