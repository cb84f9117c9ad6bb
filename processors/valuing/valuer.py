"""The portfolios of a worker and all latest prices, and what the ones are worth at the others.

Portfolios and prices are put in as they come; `revalue` freezes both and says whose figures may have changed. Totals come of
the sums that `processors.holdings` makes of all positions at once, or line by line where something is not known; both give
the same.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from market.portfolio import Portfolio, PriceChoice
from market.portfolio_totals import Totals, sum_lines, sum_parts
from market.position import Position, Settlement
from market.price import PriceRecord
from market.price_choice import OVERRIDE, ChosenPrice, Freshness, Reference, choose_price, reference_price
from market.valuation import PER_AMOUNT, Day, Line, Mark, Part, day_of, value_lines
from processors.holdings import open_holdings
from processors.holdings.layout import Row
from processors.holdings.protocol import NEVER
from processors.valuing.columns import Choice, Columns
from processors.valuing.rates import CalendarOf, RateSources

REFRESH = 1_000_000
"""Microseconds after which all prices are looked at again: they grow stale, and what overrides them expires."""


class _Group(NamedTuple):
    """Positions of a portfolio of one currency, settlement and direction; costs at scale 36.

    `lines` of them are open and cost `cost`, of which `came` for those opened since the day began; the other `held` were held
    then.
    """

    number: int
    currency: str
    settlement: Settlement
    is_long: bool
    lines: int
    held: int
    cost: int
    came: int


class Valuer:
    """Values portfolios. `board` has the latest prices by instrument; times are microseconds.

    `refreshed_at` is when all prices were looked at last.
    """

    def __init__(self, sources: RateSources, calendar_of: CalendarOf, *, compiled: bool = True) -> None:
        self.board: dict[str, PriceRecord] = {}
        self.portfolios: dict[str, Portfolio] = {}
        self.rates = sources.rates(self.board, 0, calendar_of)
        self.refreshed_at = 0
        self._sources = sources
        self._calendar_of = calendar_of
        self._values, self._began = open_holdings(compiled=compiled), open_holdings(compiled=compiled)
        self._prices: Columns[Choice, ChosenPrice] = Columns(self._values, self._choose, self._put_price)
        self._references: Columns[str, Reference] = Columns(self._began, self._refer, self._put_reference)
        self._groups: dict[str, tuple[_Group, ...]] = {}
        self._owners: list[str] = []
        self._free: list[int] = []
        self._foreign: set[str] = set()
        self._days: dict[str, dict[str, int]] = {}  # by instrument and portfolio: a day that begins later is another one for it
        self._traded: set[str] = set()  # portfolios of whose day something is not known
        self._moved: set[str] = set()
        self._touched: set[str] = set()
        self._now = 0

    @property
    def nbytes(self) -> int:
        """Memory of the arrays of positions."""
        return self._values.nbytes + self._began.nbytes

    @property
    def columns(self) -> int:
        """Prices and references that are chosen each time all are looked at."""
        return len(self._prices) + len(self._references)

    def put_price(self, record: PriceRecord) -> None:
        """Take in an instrument's prices, unless newer ones are there."""
        before = self.board.get(record.instrument)
        if before is None or record.is_newer_than(before):
            self.board[record.instrument] = record
            self._moved.add(record.instrument)

    def put_portfolio(self, portfolio: Portfolio) -> None:
        """Take in a portfolio, or a later version of it, as of which it is valued from the next `revalue` on."""
        self.drop_portfolio(portfolio.portfolio_id)
        self.portfolios[portfolio.portfolio_id] = portfolio
        self._hold(portfolio)
        self._touched.add(portfolio.portfolio_id)

    def drop_portfolio(self, portfolio_id: str) -> None:
        """Let go of a portfolio."""
        portfolio = self.portfolios.pop(portfolio_id, None)
        self._touched.discard(portfolio_id)
        if portfolio is not None:
            self._release(portfolio)

    def revalue(self, now: int) -> set[str]:
        """Value everything at the prices as they are; the portfolios whose figures may have changed since the last time."""
        self._now = now
        is_due = now - self.refreshed_at >= REFRESH
        if is_due:
            self.refreshed_at = now
            self._prices.drop_unused()
            self._references.drop_unused()
        moved = None if is_due else self._moved & self._prices.instruments()
        columns = self._prices.refresh(moved, now)
        touched = self._touched | {self._owners[group] for group in self._values.groups_with(columns)}
        touched |= self._refresh_references(None if is_due else self._moved & self._references.instruments(), now)
        if is_due or not self._sources.instruments.isdisjoint(self._moved):
            touched |= self._refresh_rates(now)
        self._moved, self._touched = set(), set()
        self.weigh()
        return touched

    def weigh(self) -> None:
        """Value all positions at the prices chosen last."""
        self._values.revalue()
        self._began.revalue()

    def totals(self, portfolio_id: str) -> Totals:
        """Totals of a portfolio as of the last `revalue`."""
        portfolio, parts = self.portfolios[portfolio_id], []
        for group in self._groups[portfolio_id]:
            rate = self.rates.now.rate(group.currency, portfolio.base_currency)
            value = self._values.sum_of(group.number)
            if rate is None or value.priced < group.lines:
                return sum_lines(portfolio, self.lines(portfolio_id), self.rates)
            began = self._began.sum_of(group.number)
            parts.append(
                Part(
                    group.currency,
                    group.settlement,
                    group.lines,
                    group.lines if rate.is_stale else value.stale,
                    value.value,
                    0 if group.is_long else value.value,
                    group.cost,
                    began.value if began.priced == group.held else None,
                    group.came,
                    None if value.oldest == NEVER else value.oldest,
                )
            )
        return sum_parts(portfolio, parts, self.rates, is_day_known=portfolio_id not in self._traded)

    def lines(self, portfolio_id: str) -> list[Line]:
        """Every position of a portfolio as of the last `revalue`."""
        portfolio = self.portfolios[portfolio_id]
        marks = [self._mark(portfolio, position) for position in portfolio.positions.values()]
        return value_lines(portfolio, marks, self.rates.now)

    def _mark(self, portfolio: Portfolio, position: Position) -> Mark:
        instrument = position.instrument
        reference = self._references.found(instrument, instrument)
        if not position.quantity:
            return Mark(None, reference)
        price = self._prices.found(instrument, choice_of(portfolio, position))
        if price is not None and price.choice == OVERRIDE:
            override = portfolio.overrides[instrument]
            price = price._replace(source=override.actor, time=override.set_at)
        return Mark(price, reference)

    def _hold(self, portfolio: Portfolio) -> None:
        rows: dict[tuple[str, Settlement, bool], list[tuple[Position, Row, Row | None]]] = {}
        for position in portfolio.positions.values():
            day = self._day(portfolio, position)
            if position.quantity:
                key = position.currency, position.settlement, position.quantity > 0
                rows.setdefault(key, []).append((position, *self._rows(portfolio, position, day)))
        groups = []
        for (currency, settlement, is_long), found in rows.items():
            number = self._free.pop() if self._free else self._add_group()
            self._owners[number] = portfolio.portfolio_id
            held = [row for _, _, row in found if row is not None]
            self._values.hold(number, [row for _, row, _ in found])
            self._began.hold(number, held)
            cost = sum(position.cost for position, _, _ in found) * PER_AMOUNT
            came = sum(position.cost for position, _, row in found if row is None) * PER_AMOUNT
            groups.append(_Group(number, currency, settlement, is_long, len(found), len(held), cost, came))
        self._groups[portfolio.portfolio_id] = tuple(groups)
        currencies = {*portfolio.balances, *(group.currency for group in groups)}
        if currencies - {portfolio.base_currency}:
            self._foreign.add(portfolio.portfolio_id)

    def _day(self, portfolio: Portfolio, position: Position) -> Day:
        """What a position did since its day began, and remember when another day would have another answer.

        Of an open one without a reference nothing is remembered: its column says that there is none.
        """
        instrument, portfolio_id = position.instrument, portfolio.portfolio_id
        self._references.take(instrument, instrument, self._now)
        found = self._references.found(instrument, instrument)
        if found is None and position.quantity:
            return Day.HELD
        day = Day.TRADED if found is None else day_of(position, found.began_at)
        if day is Day.TRADED:
            self._traded.add(portfolio_id)
        if day is Day.HELD or found is None:
            until = NEVER
        else:
            until = position.opened_at if day is Day.OPENED else max(position.opened_at, position.updated_at)
        if day is not Day.HELD or not position.quantity:
            days = self._days.setdefault(instrument, {})
            days[portfolio_id] = min(until, days.get(portfolio_id, until))
        return day

    def _rows(self, portfolio: Portfolio, position: Position, day: Day) -> tuple[Row, Row | None]:
        """What a position is valued by, and what its day is measured by, unless it was opened since."""
        instrument, units = position.instrument, position.quantity * position.multiplier
        price = self._prices.take(instrument, choice_of(portfolio, position), self._now)
        reference = self._references.number(instrument, instrument)
        return (price, units), None if day is Day.OPENED else (reference, units)

    def _release(self, portfolio: Portfolio) -> None:
        for group in self._groups.pop(portfolio.portfolio_id):
            self._values.hold(group.number, ())
            self._began.hold(group.number, ())
            self._free.append(group.number)
        self._foreign.discard(portfolio.portfolio_id)
        self._traded.discard(portfolio.portfolio_id)
        for position in portfolio.positions.values():
            self._days.get(position.instrument, {}).pop(portfolio.portfolio_id, None)
            self._references.release(position.instrument, position.instrument)
            if position.quantity:
                self._prices.release(position.instrument, choice_of(portfolio, position))

    def _add_group(self) -> int:
        self._owners.append("")
        self._values.add_group()
        return self._began.add_group()

    def _refresh_rates(self, now: int) -> set[str]:
        rates = self._sources.rates(self.board, now, self._calendar_of)
        is_changed = rates != self.rates
        self.rates = rates
        return self._foreign if is_changed else set()

    def _refresh_references(self, instruments: AbstractSet[str] | None, now: int) -> set[str]:
        """Find the references anew; those whose day began anew meanwhile are held anew."""
        names = self._references.instruments() if instruments is None else instruments
        before = {name: self._references.found(name, name) for name in names}
        columns = self._references.refresh(instruments, now)
        touched = {self._owners[group] for group in self._began.groups_with(columns)}
        moved = {
            portfolio_id
            for name, found in before.items()
            for portfolio_id in self._of_another_day(name, found, self._references.found(name, name))
        }
        for portfolio_id in moved:
            self._release(self.portfolios[portfolio_id])
            self._hold(self.portfolios[portfolio_id])
        return touched | moved

    def _of_another_day(self, instrument: str, before: Reference | None, after: Reference | None) -> set[str]:
        """Portfolios with positions in an instrument that may be of another day by a new reference than by the one before."""
        if (before and before.began_at) == (after and after.began_at):
            return set()
        days = self._days.get(instrument, {})
        if before is not None and after is not None and after.began_at > before.began_at:
            return {portfolio_id for portfolio_id, until in days.items() if until < after.began_at}
        column = self._references.number(instrument, instrument)
        return {*days, *(self._owners[group] for group in self._began.groups_with([column]))}

    def _choose(self, choice: Choice, now: int) -> ChosenPrice | None:
        freshness = Freshness(now, choice.stale_after, self._calendar_of(choice.instrument))
        record = self.board.get(choice.instrument)
        return choose_price(record, choice.choices, freshness, is_long=choice.is_long, override=choice.override)

    def _refer(self, instrument: str, now: int) -> Reference | None:
        record = self.board.get(instrument)
        return None if record is None else reference_price(record, now, self._calendar_of(instrument))

    def _put_price(self, column: int, found: ChosenPrice | None) -> None:
        if found is None:
            self._values.set_price(column, None)
        else:
            time = NEVER if found.choice == OVERRIDE else found.time
            self._values.set_price(column, found.price, time, is_stale=found.is_stale)

    def _put_reference(self, column: int, found: Reference | None) -> None:
        self._began.set_price(column, None if found is None else found.price, 0)


def choice_of(portfolio: Portfolio, position: Position) -> Choice:
    """How the price of an open position is chosen."""
    policy = portfolio.policy
    override = portfolio.overrides.get(position.instrument)
    if override is not None:
        override = override._replace(actor="", role="", reason="", set_at=0)
    is_long = position.quantity > 0 or PriceChoice.SIDE not in policy.prices  # else both have one price
    return Choice(position.instrument, policy.prices, policy.stale_after, is_long, override)
