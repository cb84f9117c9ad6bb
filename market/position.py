"""A position: what is held of an instrument, what it cost in all, and what trading it has brought.

Quantities are signed (below zero: short) at scale 12. Cost is kept as a total at scale 24, never as a price: it is what was
paid for a long position and, below zero, what was received for a short one. So it has the sign of the quantity, but for dust:
what rounding relieved costs leaves with a small rest may be zero or of the other sign, below a unit of scale 18 a fill.
With the price P, the quantity Q, the multiplier M and the cost C of what is open:

    value      = P × Q × M
    unrealised = value - C
    realised   = what a closing fill brings (P × closed quantity × M) less the cost it relieves

so that realised and unrealised profit together are the cash that went in and out plus the value that is open. These are the
formulae of a position's average price and realised profit by weighted average cost as nautilus_trader and QuantConnect's Lean
state them, over totals in place of quotients, and those of first in, first out of IAS 2, paragraph 27.

Relieved cost is the only figure that is rounded: half to even at scale 18, unless all of a position or lot is closed, which
relieves all of its cost. What rounding leaves stays with what is open, so no money is lost. A fill's amount has at most 24
decimal places unless price, quantity and multiplier have more than that together; then it is rounded half to even at scale 24.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from market.beginnings import Began, Beginning, Kept, find, remember
from market.decimals import AMOUNT_SCALE, ONE, divide_half_even

RELIEVED_SCALE = 18
"""Decimal places of relieved cost."""

_RELIEVED_UNIT = int(10 ** (AMOUNT_SCALE - RELIEVED_SCALE))


class Accounting(StrEnum):
    """Which cost a closing fill relieves: its share of the whole, or that of the oldest lots."""

    AVERAGE = "AVERAGE"
    FIFO = "FIFO"


class Settlement(StrEnum):
    """What a fill moves in cash: CASH its whole amount (shares, spot), MARGIN the profit it realises (futures, swaps).

    So a position settled in cash adds its value to the worth of a portfolio, a margined one its unrealised profit.
    """

    CASH = "CASH"
    MARGIN = "MARGIN"


class Lot(NamedTuple):
    """What one fill opened and none has closed yet: signed quantity (scale 12), its cost (scale 24), time (microseconds)."""

    quantity: int
    cost: int
    opened_at: int


class Position(NamedTuple):
    """A holding of one instrument; one of quantity 0 is flat and stays until it is removed.

    `quantity` and `multiplier` (units of the underlying in one contract) are at scale 12; `cost`, `realised_pnl`, `fees`
    (below zero: rebates), `funding` and `dividends` (below zero: paid) at scale 24, in `currency`. Fees in another currency are
    with the portfolio alone. `lots` are the open ones, the oldest first, where accounting is first in, first out; else none.
    `opened_at` is when the quantity was last 0 before, `updated_at` the time of the last change (microseconds), `version` that
    of the portfolio the change made. `beginnings` are what it was before changes (`market.beginnings`), complete for times from
    `known_since` on, None where none are remembered from before the last change.
    """

    position_id: str
    instrument: str
    currency: str
    multiplier: int
    settlement: Settlement
    quantity: int
    cost: int
    lots: tuple[Lot, ...]
    realised_pnl: int
    fees: int
    funding: int
    dividends: int
    opened_at: int
    updated_at: int
    version: int
    beginnings: tuple[Beginning, ...] = ()
    known_since: int | None = None

    @property
    def paid(self) -> int:
        """What fills and corrections have cost less what they have brought, at scale 24: cost less realised profit."""
        return self.cost - self.realised_pnl

    def began(self, time: int) -> Began | None:
        """What was held at a time and had been paid for it; None where it is not known any more."""
        if self.updated_at < time:
            return Began(self.quantity, self.paid, None)
        return find(self.kept, time)

    @property
    def kept(self) -> Kept:
        """What is remembered of what it was before changes."""
        since = self.updated_at + 1 if self.known_since is None else self.known_since
        return Kept(since, self.beginnings)

    def changed_at(self, at: int) -> Position:
        """The position about to be changed at a time, with what it is now remembered."""
        since, beginnings = remember(self.kept, Beginning(at, self.quantity, self.paid))
        return self._replace(beginnings=beginnings, known_since=since, updated_at=at)

    @property
    def average_price(self) -> int | None:
        """Cost of one unit at scale 12, half-even, to be shown and not computed with; None where nothing is open."""
        return divide_half_even(self.cost * ONE, self.quantity * self.multiplier) if self.quantity else None


class Traded(NamedTuple):
    """What a fill did: its signed amount (what was paid; below zero: received) and the profit it realised, both at scale 24."""

    amount: int
    realised: int


def amount_of(price: int, quantity: int, multiplier: int) -> int:
    """Price × quantity × multiplier (scale 12 each) at scale 24."""
    return divide_half_even(price * quantity * multiplier, ONE)


def relieved_cost(cost: int, closed: int, quantity: int) -> int:
    """The cost of a part of what is open: its share, half-even at scale 18, or all of it where all is closed."""
    if closed == quantity:
        return cost
    return divide_half_even(cost * closed, quantity * _RELIEVED_UNIT) * _RELIEVED_UNIT


def trade(position: Position, quantity: int, price: int, accounting: Accounting, at: int) -> tuple[Position, Traded]:
    """Fill a signed quantity at a price: opens, adds, reduces, closes or flips.

    A fill beyond zero closes all there is at its price and opens the rest in the other direction. Of its amount the part that
    closes is computed, and what remains opens.
    """
    position = position.changed_at(at)
    amount = amount_of(price, quantity, position.multiplier)
    closed = _closed_by(position.quantity, quantity)
    realised, opens = 0, amount
    if closed:
        brought = amount_of(price, closed, position.multiplier)
        position, relieved = _close(position, closed, accounting)
        realised = brought - relieved
        opens += brought
    if opened := quantity + closed:
        position = _open(position, Lot(opened, opens, at), accounting)
    return position._replace(realised_pnl=position.realised_pnl + realised), Traded(amount, realised)


def _closed_by(held: int, quantity: int) -> int:
    """How much of what is held a fill closes, with the sign of what is held."""
    if held * quantity >= 0:
        return 0
    return max(held, -quantity) if held < 0 else min(held, -quantity)


def _open(position: Position, lot: Lot, accounting: Accounting) -> Position:
    is_flat = position.quantity == 0
    return position._replace(
        quantity=position.quantity + lot.quantity,
        cost=position.cost + lot.cost,
        lots=(*position.lots, lot) if accounting is Accounting.FIFO else (),
        opened_at=lot.opened_at if is_flat else position.opened_at,
    )


def _close(position: Position, closed: int, accounting: Accounting) -> tuple[Position, int]:
    """Take a part out, with the cost it relieves."""
    if accounting is Accounting.FIFO:
        lots, relieved = _take_oldest(position.lots, closed)
    else:
        lots, relieved = (), relieved_cost(position.cost, closed, position.quantity)
    return position._replace(quantity=position.quantity - closed, cost=position.cost - relieved, lots=lots), relieved


def _take_oldest(lots: tuple[Lot, ...], closed: int) -> tuple[tuple[Lot, ...], int]:
    """Take a quantity out of the oldest lots; what is left of them, and the cost relieved."""
    relieved, left = 0, closed
    for number, lot in enumerate(lots):
        if abs(lot.quantity) > abs(left):
            part = relieved_cost(lot.cost, left, lot.quantity)
            rest = lot._replace(quantity=lot.quantity - left, cost=lot.cost - part)
            return (rest, *lots[number + 1 :]), relieved + part
        relieved += lot.cost
        left -= lot.quantity
        if not left:
            return lots[number + 1 :], relieved
    return (), relieved


def account_by(position: Position, accounting: Accounting) -> Position:
    """The position under another way of accounting: its lots become one whole, or the whole becomes one lot."""
    if accounting is Accounting.AVERAGE or not position.quantity:
        return position._replace(lots=())
    return position._replace(lots=position.lots or (Lot(position.quantity, position.cost, position.opened_at),))


def hold(position: Position, quantity: int, cost: int, accounting: Accounting, at: int) -> Position:
    """The position set to a quantity and its total cost, as one lot: an opening balance, or a correction."""
    is_new = position.quantity == 0 or position.quantity * quantity <= 0
    opened_at = at if is_new else position.opened_at
    held = position.changed_at(at)._replace(quantity=quantity, cost=cost, lots=(), opened_at=opened_at)
    return account_by(held, accounting)


def split(position: Position, new: int, old: int, at: int) -> Position:
    """`new` units for every `old` ones, at the same total cost.

    Quantities that do not come out even are rounded half-even at scale 12, of lots as their running total is, so that they
    sum up to that of the position. What was held before is split, too: on the day of a split the price that the day is measured
    from is told for the new units (the ex-rights reference price of the Shanghai Stock Exchange's trading rules, 4.3).
    """
    position = position.changed_at(at)
    lots, before, after = list[Lot](), 0, 0
    for lot in position.lots:
        before += lot.quantity
        total = divide_half_even(before * new, old)
        lots.append(lot._replace(quantity=total - after))
        after = total
    quantity = divide_half_even(position.quantity * new, old)
    return position._replace(quantity=quantity, lots=tuple(lots), beginnings=split_beginnings(position.beginnings, new, old))


def split_beginnings(beginnings: tuple[Beginning, ...], new: int, old: int) -> tuple[Beginning, ...]:
    """What was held before, also of what is flat now, in units after a split."""
    return tuple(one._replace(quantity=divide_half_even(one.quantity * new, old)) for one in beginnings)
