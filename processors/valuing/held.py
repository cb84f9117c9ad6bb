"""A portfolio as it is held: the groups of its rows, and what they cost."""

from __future__ import annotations

from typing import NamedTuple

from market.portfolio import Portfolio
from market.position import Settlement


class Group(NamedTuple):
    """Positions of a portfolio of one currency, settlement and direction (flat ones are with the long); costs at scale 24.

    `lines` of them are open and cost `cost`, `held` were held when the day began; `came` is what was paid for them since.
    """

    number: int
    currency: str
    settlement: Settlement
    is_long: bool
    lines: int
    held: int
    cost: int
    came: int


class Held(NamedTuple):
    """A portfolio in groups. Without `is_day_known` something is not known of what a position was when its day began.

    `is_narrow`: the arrays have all of its rows.
    """

    portfolio: Portfolio
    groups: tuple[Group, ...]
    is_day_known: bool
    is_narrow: bool
