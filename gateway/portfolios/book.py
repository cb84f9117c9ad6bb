"""What is known of every portfolio: itself, what it is worth, and its lines; the later of two records wins. Pure.

The three come of topics that are read side by side, so none waits for another. A line whose position the portfolio no longer
has is let go of; one that was valued as of a later version than the portfolio known here is kept, since that one is to come.
Memory is that of all portfolios there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from market.portfolio import Portfolio
from market.position import Position
from market.valuation_record import Valuation, ValuationLine


@dataclass(slots=True)
class Held:
    """A portfolio as far as it is known; a valuation may come before what it values."""

    portfolio: Portfolio | None = None
    valuation: Valuation | None = None
    lines: dict[str, ValuationLine] = field(default_factory=dict)

    @property
    def positions(self) -> Mapping[str, Position]:
        """The positions of the latest version known."""
        return {} if self.portfolio is None else self.portfolio.positions


class Change(NamedTuple):
    """What a new version changed of a portfolio: positions that are new or other than before, and ids of those gone."""

    positions: tuple[Position, ...]
    removed: tuple[str, ...]


class PortfolioBook:
    """All portfolios by id."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._owners: defaultdict[str, set[str]] = defaultdict(set)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def find(self, portfolio_id: str) -> Held | None:
        """What is known of a portfolio, None where it is not known to exist."""
        held = self._held.get(portfolio_id)
        return None if held is None or (held.portfolio is None and held.valuation is None) else held

    def owners_of(self, position_id: str) -> list[str]:
        """The portfolios that have a position of this id."""
        return sorted(self._owners.get(position_id, ()))

    def take_portfolio(self, portfolio: Portfolio) -> Change | None:
        """Take in a portfolio; None where it is not a later version."""
        held = self._of(portfolio.portfolio_id)
        before = held.portfolio
        if before is not None and portfolio.version <= before.version:
            return None
        known = -1 if before is None else before.version
        removed = tuple(sorted(held.positions.keys() - portfolio.positions.keys()))
        held.portfolio = portfolio
        for position_id in removed:
            self._disown(position_id, portfolio.portfolio_id)
        for position_id in portfolio.positions:
            self._owners[position_id].add(portfolio.portfolio_id)
        held.lines = {name: line for name, line in held.lines.items() if _is_held(line, portfolio)}
        return Change(tuple(one for one in portfolio.positions.values() if one.version > known), removed)

    def take_valuation(self, valuation: Valuation) -> bool:
        """Take in totals; whether they are later than those known."""
        held = self._of(valuation.portfolio_id)
        if held.valuation is not None and _order(valuation) <= _order(held.valuation):
            return False
        held.valuation = valuation
        return True

    def take_line(self, line: ValuationLine) -> bool:
        """Take in a line; whether it is later than the one known, and of a position there is."""
        held = self._of(line.portfolio_id)
        before = held.lines.get(line.position_id)
        if before is not None and _order(line) <= _order(before):
            return False
        if held.portfolio is not None and not _is_held(line, held.portfolio):
            return False
        held.lines[line.position_id] = line
        return True

    def _of(self, portfolio_id: str) -> Held:
        return self._held.setdefault(portfolio_id, Held())

    def _disown(self, position_id: str, portfolio_id: str) -> None:
        self._owners[position_id].discard(portfolio_id)
        if not self._owners[position_id]:
            del self._owners[position_id]


def _is_held(line: ValuationLine, portfolio: Portfolio) -> bool:
    return line.position_id in portfolio.positions or line.position_version > portfolio.version


def _order(record: Valuation | ValuationLine) -> tuple[int, int]:
    return record.generation, record.sequence
