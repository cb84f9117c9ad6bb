"""Who waits for a portfolio to be valued anew: until totals come that go up to the answer to the request. No I/O.

Answers and totals come of two topics, so either may be read first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.messages import Arrival
from gateway.portfolios.book import PortfolioBook
from market.portfolio_answers import is_answer
from market.portfolio_commands import Command
from market.portfolio_reply import PortfolioReply
from market.valuation_record import Valuation

Valued = Callable[[Valuation], None]


class _Waiting:
    """A request; `offset` is that of its answer once it was read, `version` the portfolio's that the answer told."""

    def __init__(self, command: Command, valued: Valued) -> None:
        self.command = command
        self.valued = valued
        self.offset: int | None = None
        self.version = 0


class Revaluations:
    """Requests that are waited for; `book` has the totals that were read already."""

    def __init__(self, book: PortfolioBook) -> None:
        self._book = book
        self._waiting: dict[str, list[_Waiting]] = {}

    @contextmanager
    def expecting(self, command: Command, valued: Valued) -> Iterator[None]:
        """While entered: `valued` is told of the first totals that the request is in."""
        waiting = _Waiting(command, valued)
        waits = self._waiting.setdefault(command.portfolio_id, [])
        waits.append(waiting)
        try:
            yield
        finally:
            waits.remove(waiting)
            if not waits:
                self._waiting.pop(command.portfolio_id, None)

    def take(self, arrival: Arrival) -> None:
        """Take note of an answer, or of totals, which the book has taken in before."""
        record = arrival.record
        if not isinstance(record, PortfolioReply | Valuation):
            return
        for waiting in self._waiting.get(record.portfolio_id, ()):
            if isinstance(record, PortfolioReply) and is_answer(record, waiting.command):
                waiting.offset, waiting.version = arrival.source.offset, record.version or 0
            self._tell(waiting)

    def _tell(self, waiting: _Waiting) -> None:
        held = self._book.find(waiting.command.portfolio_id)
        valuation = None if held is None else held.valuation
        if valuation is None or waiting.offset is None or valuation.replies_offset is None:
            return
        if valuation.replies_offset > waiting.offset and valuation.position_version >= waiting.version:
            waiting.valued(valuation)
