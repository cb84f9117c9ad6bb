"""What positions and portfolios are worth, and what of that is known; exact: nothing is rounded before it is published.

Of a position with quantity Q, multiplier M and cost C, at the price P in its own currency (`market.position` has the terms):

    value      = P × Q × M
    unrealised = value - C

and of its day, with the reference price R (`market.price_choice`), the quantity Q0 that it held when the day began, and A, what
fills and corrections have cost since, less what they have brought (below zero: brought more), which is the change of C less
realised profit:

    price effect = (value - R × Q0 × M - A) × X     X: rate of its currency in the portfolio's, now
    FX effect    = R × Q0 × M × (X - X0)            X0: that rate when the day began; of positions settled in cash

Both together are the day's profit in the portfolio's currency, before fees, funding and dividends. It is exact whatever was
traded since, and whatever way of accounting there is, since A has no cost that was relieved in it. What a position was when
the day began is remembered with it (`market.beginnings`). X and X0 must come of the same sources: the difference of two
sources' rates is no move, and the day's profit not known. A position that was closed and removed in the day counts by the
trace that it left (`market.traces`). All other figures are converted at X. A portfolio has the sums of its lines, and

    equity = cash + value of the positions settled in cash + unrealised profit of the margined ones

A line that has no price or no rate has no value. It is left out of sums, which say so by their coverage; a figure that would be
wrong without it (equity, the day's profit) is not known, and None.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from market.decimals import AMOUNT_SCALE, SCALE, divide_half_even
from market.fx import FxGraph, FxRate
from market.portfolio import Portfolio
from market.position import Position, Settlement
from market.price_choice import OVERRIDE, ChosenPrice, Reference

EXACT_SCALE = AMOUNT_SCALE + SCALE
"""Of a product of price, quantity and multiplier."""

PER_AMOUNT = int(10 ** (EXACT_SCALE - AMOUNT_SCALE))
"""Of one at the scale of amounts."""


class LineState(StrEnum):
    """What is known of a position's value: STALE has one by a price or a rate that is too old, the last two have none."""

    PRICED = "PRICED"
    STALE = "STALE"
    UNPRICED = "UNPRICED"
    NO_FX = "NO_FX"


class Mark(NamedTuple):
    """What the market says of a position's instrument: a price now, and the day's reference."""

    price: ChosenPrice | None = None
    reference: Reference | None = None


class Part(NamedTuple):
    """Sums over positions that are valued, all of one currency and settlement; amounts at `EXACT_SCALE` in that currency.

    `short` is that of `value` which is below zero, `began` the value that the day began with of what was held then (None where
    it is not known), `came` what was paid since, also for those that are flat now. `lines` and `stale` count positions that are
    open, `oldest` is the time of the oldest price of the market (microseconds).
    """

    currency: str
    settlement: Settlement
    lines: int
    stale: int
    value: int
    short: int
    cost: int
    began: int | None
    came: int
    oldest: int | None


class Line(NamedTuple):
    """A position valued; `reason` says why it is not simply PRICED. `part` is None where there is no value."""

    position: Position
    state: LineState
    reason: str
    mark: Mark
    rate: FxRate | None
    part: Part | None

    def rounded(self, amount: int) -> int | None:
        """An amount at `EXACT_SCALE` as it is published in the portfolio's currency: at scale 24, half-even."""
        if self.rate is None:
            return None
        rate = self.rate.rate
        return divide_half_even(amount * rate.numerator, PER_AMOUNT * rate.denominator)


def value_line(position: Position, mark: Mark, rate: FxRate | None) -> Line:
    """Value a position at a price and a rate; of a flat one there is nothing to value."""
    if mark.price is None and position.quantity:
        return Line(position, LineState.UNPRICED, "no price", mark, rate, None)
    if rate is None:
        return Line(position, LineState.NO_FX, f"no rate for {position.currency}", mark, None, None)
    part = _part(position, mark, rate)
    if not part.stale:
        return Line(position, LineState.PRICED, "", mark, rate, part)
    reason = "price is stale" if mark.price is not None and mark.price.is_stale else "rate is stale"
    return Line(position, LineState.STALE, reason, mark, rate, part)


def _part(position: Position, mark: Mark, rate: FxRate) -> Part:
    held = position.quantity * position.multiplier
    began, came = began_with(position, mark.reference)
    if mark.price is None or not held:
        return Part(position.currency, position.settlement, 0, 0, 0, 0, 0, began, came, None)
    value = mark.price.price * held
    return Part(
        position.currency,
        position.settlement,
        1,
        mark.price.is_stale or rate.is_stale,
        value,
        min(value, 0),
        position.cost * PER_AMOUNT,
        began,
        came,
        None if mark.price.choice == OVERRIDE else mark.price.time,
    )


def began_with(position: Position, reference: Reference | None) -> tuple[int | None, int]:
    """What a position, which may be flat, began the day with at the reference price, and what was paid for it since.

    The former is None where it is not known: without a reference, or of a position of which it is not remembered.
    """
    began = None if reference is None else position.began(reference.began_at)
    if reference is None or began is None:
        return None, 0
    return reference.price * began.quantity * position.multiplier, (position.paid - began.paid) * PER_AMOUNT


def value_lines(portfolio: Portfolio, marks: Sequence[Mark], graph: FxGraph) -> list[Line]:
    """Value all positions of a portfolio; the marks stand in their order."""
    return [
        value_line(position, mark, graph.rate(position.currency, portfolio.base_currency))
        for position, mark in zip(portfolio.positions.values(), marks, strict=True)
    ]
