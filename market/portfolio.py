"""A portfolio: its cash by currency, its positions, what they have brought, and the policy it is valued by.

Of every currency, in amounts at scale 24,

    cash + cost of the open positions settled in cash
        = deposited + transferred + realised_pnl + funding + dividends - fees

holds after every change: no money comes from nowhere. How commands change a portfolio is in `market.portfolio_changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from market.day_end import UTC_ZONE, day_end_after
from market.limits import Limit
from market.position import Accounting, Position
from market.traces import Trace


class PriceChoice(StrEnum):
    """A price to value by: SIDE is the one a position could be closed at now, the bid of a long and the ask of a short one."""

    MARK = "MARK"
    MID = "MID"
    SIDE = "SIDE"
    LAST = "LAST"
    CLOSE = "CLOSE"


class Policy(NamedTuple):
    """How a portfolio is kept and valued.

    `prices` are tried in this order; a position that none of them prices is unpriced. A price older than `stale_after`
    (microseconds, counted while the instrument's market is open) is used and called stale. `valuation_period` is the least time
    between two valuations in microseconds, 0 for one at every change. `overdraft` lets cash be withdrawn that is not there.
    `limits` are what its figures are held against; its day ends `day_ends` microseconds after midnight by the clocks of the
    time zone `day_zone`.
    """

    accounting: Accounting = Accounting.AVERAGE
    prices: tuple[PriceChoice, ...] = (PriceChoice.MARK, PriceChoice.MID, PriceChoice.LAST, PriceChoice.CLOSE)
    stale_after: int = 60_000_000
    valuation_period: int = 100_000
    overdraft: bool = False
    limits: tuple[Limit, ...] = ()
    day_ends: int = 0
    day_zone: str = UTC_ZONE

    def day_end_after(self, time: int) -> int:
        """When the portfolio's day ends that `time` lies in: the first instant of the next one (microseconds)."""
        return day_end_after(time, self.day_ends, self.day_zone)


class PriceOverride(NamedTuple):
    """A price (scale 12) that somebody put in the place of the market's, for one portfolio and until `expires_at`.

    `actor` did so in a `role` for a `reason`. Times are microseconds: record time for `set_at`.
    """

    instrument: str
    price: int
    actor: str
    role: str
    reason: str
    set_at: int
    expires_at: int


class Balance(NamedTuple):
    """What a portfolio has of one currency and what it came from; amounts at scale 24.

    `cash` may be below zero. `deposited` is net of withdrawals. `transferred` is the net cost of positions settled in cash that
    came in or were corrected without a fill. `realised_pnl` is that of fills, before `fees` (below zero: rebates); `funding`
    and `dividends` are net of what was paid.
    """

    cash: int = 0
    deposited: int = 0
    transferred: int = 0
    realised_pnl: int = 0
    fees: int = 0
    funding: int = 0
    dividends: int = 0


class Portfolio(NamedTuple):
    """Everything there is of a portfolio at one version, which rises by one with every accepted command that changes it.

    `balances` are by currency, `positions` by their id, `overrides` by instrument. Times are the records' (microseconds). The
    source is the command that made this version. `traces` are what removed positions leave behind.
    """

    portfolio_id: str
    base_currency: str
    version: int
    policy: Policy
    balances: Mapping[str, Balance]
    positions: Mapping[str, Position]
    overrides: Mapping[str, PriceOverride]
    created_at: int
    updated_at: int
    source_topic: str
    source_partition: int
    source_offset: int
    traces: tuple[Trace, ...] = ()
