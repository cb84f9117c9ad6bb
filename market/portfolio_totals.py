"""The totals of a portfolio: sums of its lines in its own currency, exact. The formulae are in `market.valuation`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import lcm
from typing import NamedTuple

from market.decimals import AMOUNT_SCALE, ONE, divide_half_even, ratio
from market.fx import FxGraph
from market.portfolio import Balance, Portfolio
from market.position import Settlement
from market.valuation import EXACT_SCALE, PER_AMOUNT, Line, Part, began_with


class Totals(NamedTuple):
    """A portfolio's figures in its base currency, exact: whole numbers of `1 / unit`; None is unknown.

    `net`, `gross` and `unrealised` are of the lines that have a value; `income` is funding and dividends less fees. The day's
    profit is `price_effect` and `fx_effect`. `lines` counts open positions, `valued` those with a value, `stale` those of
    them by an old price or rate. `oldest` is the time of the oldest price of the market (microseconds). `left_out` names the
    positions without a value, `without_rate` the currencies of balances without a rate.
    """

    unit: int
    net: int | None
    gross: int | None
    unrealised: int | None
    realised: int | None
    income: int | None
    cash: int | None
    equity: int | None
    price_effect: int | None
    fx_effect: int | None
    lines: int
    valued: int
    stale: int
    oldest: int | None
    left_out: tuple[str, ...]
    without_rate: tuple[str, ...]

    @property
    def coverage_percent(self) -> int:
        """Share of the open positions that has a value, in per cent at scale 12, half-even; all of nothing is 100."""
        return ratio(100 * self.valued, self.lines) if self.lines else 100 * ONE

    def rounded(self, figure: int | None) -> int | None:
        """A figure as it is published: at scale 24, half-even."""
        return None if figure is None else divide_half_even(figure * 10**AMOUNT_SCALE, self.unit)


class Rates(NamedTuple):
    """Rates now, and those when the day began."""

    now: FxGraph
    then: FxGraph


def sum_lines(portfolio: Portfolio, lines: Sequence[Line], rates: Rates) -> Totals:
    """The totals of a portfolio's lines."""
    left_out = tuple(line.position.position_id for line in lines if line.part is None and line.position.quantity)
    is_day_known = all(line.position.quantity or _is_day_known(line) for line in lines)
    parts = (line.part for line in lines if line.part is not None)
    return sum_parts(portfolio, parts, rates, left_out, is_day_known=is_day_known)


def sum_parts(
    portfolio: Portfolio, parts: Iterable[Part], rates: Rates, left_out: tuple[str, ...] = (), *, is_day_known: bool = True
) -> Totals:
    """The totals of a portfolio whose valued positions are these parts; `left_out` names all the others that are open.

    Without `is_day_known` there are positions, maybe flat ones that are no parts, of whose day not all is known. Every currency
    of a part must have a rate. The order of the parts does not matter.
    """
    parts = [part for part in parts if part.lines or part.began or part.came]
    weights = Weights(portfolio.base_currency, dict.fromkeys([*(part.currency for part in parts), *portfolio.balances]), rates)
    balances = _Balances(portfolio.balances, weights)
    net: int | None
    gross: int | None
    unrealised: int | None
    net = gross = unrealised = worth = 0
    for part in parts:
        weight = weights.now[part.currency]
        value, profit = part.value * weight, (part.value - part.cost) * weight
        net += value
        gross += value - 2 * part.short * weight
        unrealised += profit
        worth += value if part.settlement is Settlement.CASH else profit
    valued = sum(part.lines for part in parts)
    if not valued and left_out:
        net = gross = unrealised = None
    cash = balances.total(lambda balance: balance.cash)
    price_effect, fx_effect = _day(parts, weights) if is_day_known and not left_out else (None, None)
    return Totals(
        unit=weights.common * 10**EXACT_SCALE,
        net=net,
        gross=gross,
        unrealised=unrealised,
        realised=balances.total(lambda balance: balance.realised_pnl),
        income=balances.total(lambda balance: balance.funding + balance.dividends - balance.fees),
        cash=cash,
        equity=None if cash is None or left_out else cash + worth,
        price_effect=price_effect,
        fx_effect=fx_effect,
        lines=valued + len(left_out),
        valued=valued,
        stale=sum(part.stale for part in parts),
        oldest=min((part.oldest for part in parts if part.oldest is not None), default=None),
        left_out=left_out,
        without_rate=balances.missing,
    )


def _is_day_known(line: Line) -> bool:
    """Whether it is known what a flat position's day has brought; to be counted it needs a rate, unless it is nothing."""
    began, came = began_with(line.position, line.mark.reference)
    return began is not None and (line.part is not None or not (began or came))


class Weights:
    """What an amount is multiplied by to become a whole number of `1 / common` of the base currency, by currency.

    Currencies without a rate have none. `then` has the rates of when the day began that come of the same sources as those of
    now: between two sources is no move.
    """

    def __init__(self, base: str, currencies: Iterable[str], rates: Rates) -> None:
        found = {currency: rate for currency in currencies if (rate := rates.now.rate(currency, base)) is not None}
        now = {currency: rate.rate for currency, rate in found.items()}
        then = {
            currency: before.rate
            for currency, rate in found.items()
            if (before := rates.then.rate(currency, base)) is not None and before.sources == rate.sources
        }
        common = lcm(*(rate.denominator for rate in (*now.values(), *then.values())))
        self.common = common
        self.now = {currency: rate.numerator * (common // rate.denominator) for currency, rate in now.items()}
        self.then = {currency: rate.numerator * (common // rate.denominator) for currency, rate in then.items()}


class _Balances:
    """A portfolio's balances, weighted; `missing` are the currencies that have no rate."""

    def __init__(self, balances: Mapping[str, Balance], weights: Weights) -> None:
        self._balances, self._weights = balances, weights.now
        self.missing = tuple(currency for currency, balance in balances.items() if currency not in weights.now and any(balance))

    def total(self, of: Callable[[Balance], int]) -> int | None:
        """A figure of them; None where a currency has no rate."""
        if self.missing:
            return None
        return sum(of(balance) * PER_AMOUNT * self._weights.get(currency, 0) for currency, balance in self._balances.items())


def _day(parts: Sequence[Part], weights: Weights) -> tuple[int | None, int | None]:
    """Price effect and FX effect; both None where anything is missing."""
    price_effect = fx_effect = 0
    for part in parts:
        if part.began is None:
            return None, None
        now = weights.now[part.currency]
        price_effect += (part.value - part.began - part.came) * now
        if part.settlement is Settlement.CASH and part.began:
            then = weights.then.get(part.currency)
            if then is None:
                return None, None
            fx_effect += part.began * (now - then)
    return price_effect, fx_effect
