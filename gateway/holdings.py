"""`portfolio:ID` in place of a symbol: the instruments that a portfolio holds, at any time those it holds then. Pure."""

from __future__ import annotations

from collections.abc import Container

from gateway.identity import Principal
from gateway.messages import Room
from gateway.portfolios.book import Held, PortfolioBook
from gateway.refusals import unknown_portfolio

_PREFIX = "portfolio:"


def is_portfolio(symbol: str) -> bool:
    """Whether the holdings of a portfolio are meant."""
    return symbol.startswith(_PREFIX)


def portfolio_of(symbol: str) -> str:
    """The portfolio that a symbol names."""
    return symbol.removeprefix(_PREFIX)


def symbol_of(portfolio_id: str) -> str:
    """The symbol that means the holdings of a portfolio."""
    return _PREFIX + portfolio_id


class Holdings:
    """What portfolios hold; without a book there are none."""

    def __init__(self, book: PortfolioBook | None = None) -> None:
        self._book = book

    def are_there(self, symbol: str, principal: Principal) -> bool:
        """Whether the portfolio exists and may be seen."""
        return self._find(symbol, principal) is not None

    def of(self, symbol: str, principal: Principal) -> list[str]:
        """The instruments of open positions, of those that may be seen.

        Raises Refusal where the portfolio does not exist, and the same one where it may not be seen.
        """
        held = self._find(symbol, principal)
        if held is None:
            raise unknown_portfolio()
        positions = held.positions.values()
        return sorted({each.instrument for each in positions if each.quantity and principal.sees(each.instrument)})

    def _find(self, symbol: str, principal: Principal) -> Held | None:
        portfolio_id = portfolio_of(symbol)
        return self._book.find(portfolio_id) if self._book is not None and principal.holds(portfolio_id) else None


class Follows:
    """Which of a client's rooms it is in because of portfolios alone."""

    def __init__(self) -> None:
        self._because: dict[Room, set[str]] = {}

    def enter(self, base: Room, symbol: str, *, is_in: bool) -> None:
        """A room is entered by a symbol; `is_in` is whether the client was in it before."""
        if not is_portfolio(symbol):
            self._because.pop(base, None)  # from now on it is wanted for itself
        elif not is_in:
            self._because[base] = {symbol}
        elif base in self._because:
            self._because[base].add(symbol)

    def leave(self, base: Room) -> None:
        """A room was left."""
        self._because.pop(base, None)

    def let_go(self, watch: Room, kept: Container[str] = ()) -> list[Room]:
        """The rooms to leave since a portfolio, the instrument of the room `watch`, holds only these instruments."""
        rooms = []
        for base, symbols in self._because.items():
            if (
                watch.instrument in symbols
                and base._replace(instrument=watch.instrument) == watch
                and base.instrument not in kept
            ):
                symbols.discard(watch.instrument)
                rooms += [] if symbols else [base]
        return rooms
