"""The portfolios of a worker and all latest prices, and what the ones are worth at the others.

Portfolios and prices are put in as they come; `revalue` freezes both and says whose figures may have changed. Totals come of
the sums that `processors.holdings` makes of all positions at once, or line by line where something is not known; both give
the same.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from market.beginnings import Began
from market.portfolio import Portfolio, PriceChoice
from market.portfolio_totals import Totals, sum_lines, sum_parts
from market.position import Position, Settlement
from market.price import PriceRecord
from market.price_choice import OVERRIDE, ChosenPrice, Freshness, Reference, choose_price, reference_price
from market.traces import TRACES_KEPT, lately
from market.valuation import PER_AMOUNT, Line, Mark, Part, value_line, value_lines
from processors.built import compiled_module
from processors.holdings import compiled_arithmetic, open_holdings
from processors.holdings.layout import Row
from processors.holdings.protocol import NEVER, Weighed
from processors.valuing.columns import Change, Choice, Columns
from processors.valuing.groups import Groups
from processors.valuing.held import Group, Held
from processors.valuing.rates import CalendarOf, RateSources

REFRESH = 1_000_000
"""Microseconds after which all prices are looked at again: they grow stale, and what overrides them expires."""


class _Rows(NamedTuple):
    """Rows of a position: of its value, None where it is flat, and of what it began the day with, None for nothing.

    `cost` and `came`, what was paid since the day began, are at scale 24.
    """

    value: Row | None
    began: Row | None
    cost: int
    came: int
    is_day_known: bool


class Valuer:
    """Values portfolios. `board` has the latest prices by instrument; times are microseconds.

    `refreshed_at` is when all prices were looked at last, `latest` when the latest of them was received.
    """

    def __init__(self, sources: RateSources, calendar_of: CalendarOf, *, compiled: bool = True) -> None:
        self.is_compiled = compiled and compiled_arithmetic() is not None
        self.board: dict[str, PriceRecord] = {}
        self.portfolios: dict[str, Portfolio] = {}
        self.rates = sources.rates(self.board, 0, calendar_of)
        self.refreshed_at = self.latest = 0
        self._sources = sources
        self._calendar_of = calendar_of
        self._values, self._began = open_holdings(compiled=compiled), open_holdings(compiled=compiled)
        module = compiled_module("processors.valuing.choosing") if compiled else None
        prices = module and module.Prices(self.board, self._choose).refresh
        references = module and module.References(self.board, self._refer).refresh
        self._prices: Columns[Choice, ChosenPrice] = Columns(self._values, self._choose, self._put_price, prices)
        self._references: Columns[str, Reference] = Columns(self._began, self._refer, self._put_reference, references)
        self._numbers = Groups(self._values, self._began)
        self._held: dict[str, Held] = {}
        self._foreign: set[str] = set()
        self._trace_ends: dict[str, int] = {}  # by portfolio: when its oldest trace is of no day any more
        self._days: dict[str, dict[str, int]] = {}  # by instrument and portfolio: a day that begins later is another one for it
        self._moved: set[str] = set()
        self._touched: set[str] = set()
        self._now = 0
        self._is_rearranged = True  # since all was weighed

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
            self.latest = max(self.latest, record.received_at)
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

    def revalue(self, now: int) -> None:
        """Value everything at the prices as they are."""
        self._now = now
        is_due = now - self.refreshed_at >= REFRESH
        if is_due:
            self.refreshed_at = now
            self._forget_traces(now)
            self._prices.drop_unused()
            self._references.drop_unused()
        changes = self._prices.refresh(None if is_due else self._moved & self._prices.instruments(), now)
        self._numbers.mark(self._values.groups_with([number for number, *_ in changes]))
        is_began_changed = self._refresh_references(None if is_due else self._moved & self._references.instruments(), now)
        if is_due or not self._sources.instruments.isdisjoint(self._moved):
            self._refresh_rates(now)
        self._moved = set()
        if changes or self._is_rearranged:
            self._values.revalue()
        if is_began_changed or self._is_rearranged:
            self._began.revalue()
        self._is_rearranged = False

    def weigh(self) -> None:
        """Value all positions at the prices chosen last."""
        self._values.revalue()
        self._began.revalue()

    def take_touched(self) -> set[str]:
        """The portfolios whose figures may have changed since the last time this was asked."""
        touched = self._numbers.take_marked() | self._touched
        self._touched = set()
        return touched

    def totals(self, portfolio_id: str) -> Totals:
        """Totals of a portfolio as of the last `revalue`."""
        held, parts = self._held[portfolio_id], []
        portfolio = held.portfolio
        for group in held.groups:
            rate = self.rates.now.rate(group.currency, portfolio.base_currency)
            value = self._values.sum_of(group.number)
            if rate is None or value.priced < group.lines:
                return sum_lines(portfolio, [*self.lines(portfolio_id), *self._traces(portfolio)], self.rates)
            began = self._began.sum_of(group.number)
            parts.append(
                Part(
                    group.currency,
                    group.settlement,
                    group.lines,
                    group.lines if rate.is_stale else value.stale,
                    value.value,
                    0 if group.is_long else value.value,
                    group.cost * PER_AMOUNT,
                    began.value if began.priced == group.held else None,
                    group.came * PER_AMOUNT,
                    None if value.oldest == NEVER else value.oldest,
                )
            )
        return sum_parts(portfolio, parts, self.rates, is_day_known=held.is_day_known)

    def held(self, portfolio_id: str) -> Held:
        """A portfolio as it is held now: the same object for as long as that is so."""
        return self._held[portfolio_id]

    def weighed(self) -> tuple[Weighed, Weighed] | None:
        """Sums by group as of the last `revalue`: of values, and of what the day began with; None where there was none."""
        values, began = self._values.weighed, self._began.weighed
        return None if values is None or began is None else (values, began)

    def lines(self, portfolio_id: str) -> list[Line]:
        """Every position of a portfolio as of the last `revalue`."""
        portfolio = self.portfolios[portfolio_id]
        marks = [self._mark(portfolio, position) for position in portfolio.positions.values()]
        return value_lines(portfolio, marks, self.rates.now)

    def _traces(self, portfolio: Portfolio) -> list[Line]:
        """What is left of removed positions, which are lines of no portfolio but may be of its day."""
        return [
            value_line(
                trace.flat,
                self._mark(portfolio, trace.flat),
                self.rates.now.rate(trace.currency, portfolio.base_currency),
            )
            for trace in portfolio.traces
        ]

    def _forget_traces(self, now: int) -> None:
        """Let go of traces that are of no day any more: of an instrument without a reference, no day would be known."""
        for portfolio_id in [name for name, ends_at in self._trace_ends.items() if ends_at <= now]:
            portfolio = self.portfolios[portfolio_id]
            self.put_portfolio(portfolio._replace(traces=lately(portfolio.traces, now)))

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
        self._is_rearranged = True
        rows: dict[tuple[str, Settlement, bool], list[_Rows]] = {}
        is_day_known = True
        if portfolio.traces:
            self._trace_ends[portfolio.portfolio_id] = min(one.updated_at for one in portfolio.traces) + TRACES_KEPT
        for position in _with_traces(portfolio):
            found = self._rows(portfolio, position)
            is_day_known &= found.is_day_known
            if position.quantity or found.began is not None or found.came:
                key = position.currency, position.settlement, position.quantity >= 0
                rows.setdefault(key, []).append(found)
        groups = []
        numbers = self._numbers.take(portfolio.portfolio_id, len(rows))
        for number, ((currency, settlement, is_long), of_group) in zip(numbers, rows.items(), strict=True):
            valued = [one.value for one in of_group if one.value is not None]
            began = [one.began for one in of_group if one.began is not None]
            self._values.hold(number, valued)
            self._began.hold(number, began)
            cost, came = sum(one.cost for one in of_group), sum(one.came for one in of_group)
            groups.append(Group(number, currency, settlement, is_long, len(valued), len(began), cost, came))
        is_narrow = not any(self._values.is_wide(number) or self._began.is_wide(number) for number in numbers)
        self._held[portfolio.portfolio_id] = Held(portfolio, tuple(groups), is_day_known, is_narrow)
        currencies = {*portfolio.balances, *(group.currency for group in groups)}
        if currencies - {portfolio.base_currency}:
            self._foreign.add(portfolio.portfolio_id)

    def _rows(self, portfolio: Portfolio, position: Position) -> _Rows:
        """What a position is valued by, and what its day is measured by."""
        instrument = position.instrument
        began, is_day_known = self._day(portfolio, position)
        reference = self._references.number(instrument, instrument)
        value = None
        if position.quantity:
            price = self._prices.take(instrument, choice_of(portfolio, position), self._now)
            value = price, position.quantity * position.multiplier
        if began is None:
            return _Rows(value, None, position.cost, 0, is_day_known)
        row = (reference, began.quantity * position.multiplier) if began.quantity else None
        return _Rows(value, row, position.cost, position.paid - began.paid, is_day_known)

    def _day(self, portfolio: Portfolio, position: Position) -> tuple[Began | None, bool]:
        """What a position was when its day began, and whether that is known; remember when a day would have another answer.

        Of an open one without a reference nothing is remembered: its column says that there is none.
        """
        instrument, portfolio_id = position.instrument, portfolio.portfolio_id
        self._references.take(instrument, instrument, self._now)
        found = self._references.found(instrument, instrument)
        if found is None and position.quantity:
            return Began(position.quantity, position.paid, None), True
        began = None if found is None else position.began(found.began_at)
        until = NEVER
        if began is None:
            until = NEVER if found is None else 0
        elif began.until is not None:
            until = began.until
        if until != NEVER or not position.quantity:
            days = self._days.setdefault(instrument, {})
            days[portfolio_id] = min(until, days.get(portfolio_id, until))
        return began, began is not None

    def _release(self, portfolio: Portfolio) -> None:
        self._numbers.release([group.number for group in self._held.pop(portfolio.portfolio_id).groups])
        self._foreign.discard(portfolio.portfolio_id)
        self._trace_ends.pop(portfolio.portfolio_id, None)
        for position in _with_traces(portfolio):
            self._days.get(position.instrument, {}).pop(portfolio.portfolio_id, None)
            self._references.release(position.instrument, position.instrument)
            if position.quantity:
                self._prices.release(position.instrument, choice_of(portfolio, position))

    def _refresh_rates(self, now: int) -> None:
        rates = self._sources.rates(self.board, now, self._calendar_of)
        if rates != self.rates:
            self._touched |= self._foreign
            self.rates = rates

    def _refresh_references(self, instruments: AbstractSet[str] | None, now: int) -> bool:
        """Find the references anew; portfolios whose day began anew meanwhile are held anew. Whether any changed."""
        changes = self._references.refresh(instruments, now)
        self._numbers.mark(self._began.groups_with([number for number, *_ in changes]))
        moved = set[str]().union(*map(self._of_another_day, filter(_is_of_another_day, changes)))
        self._touched |= moved
        for portfolio_id in moved:
            self._release(self.portfolios[portfolio_id])
            self._hold(self.portfolios[portfolio_id])
        return bool(changes)

    def _of_another_day(self, change: Change[str, Reference]) -> set[str]:
        """Portfolios with positions in an instrument that may be of another day by a new reference than by the one before."""
        number, instrument, before, after = change
        days = self._days.get(instrument, {})
        if before is not None and after is not None and after.began_at > before.began_at:
            return {portfolio_id for portfolio_id, until in days.items() if until < after.began_at}
        return {*days, *self._numbers.owners(self._began.groups_with([number]))}

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


def _with_traces(portfolio: Portfolio) -> list[Position]:
    """The positions, and what is left of removed ones."""
    return [*portfolio.positions.values(), *(trace.flat for trace in portfolio.traces)]


def _is_of_another_day(change: Change[str, Reference]) -> bool:
    _, _, before, after = change
    return before is None or after is None or before.began_at != after.began_at


def choice_of(portfolio: Portfolio, position: Position) -> Choice:
    """How the price of an open position is chosen."""
    policy = portfolio.policy
    override = portfolio.overrides.get(position.instrument)
    if override is not None:
        override = override._replace(actor="", role="", reason="", set_at=0)
    is_long = position.quantity > 0 or PriceChoice.SIDE not in policy.prices  # else both have one price
    return Choice(position.instrument, policy.prices, policy.stale_after, is_long, override)
