"""When portfolios with a limit on the age of prices are to be told though nothing changes. Times are microseconds. Pure.

There is one entry for each such portfolio, which is looked at when the price it was made for would be too old: where it was
renewed meanwhile, the entry is put off to the age of the new one. So a portfolio costs nothing between two ages of its limit.
"""

from __future__ import annotations

from heapq import heappop, heappush


class PriceAges:
    """What was told last, and when its oldest price will be too old."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._entries: list[tuple[int, str]] = []
        self._entered: dict[str, int] = {}  # the time of each portfolio's one entry that counts

    def told(self, portfolio_id: str, due: int | None, at: int) -> None:
        """Totals as of `at` were told; a price of theirs is too old at `due`. Where one was by then, that is told with it."""
        if due is None or due <= at:
            self.forget(portfolio_id)
            return
        self._due[portfolio_id] = due
        entered = self._entered.get(portfolio_id)
        if entered is None or due < entered:
            self._enter(due, portfolio_id)

    def forget(self, portfolio_id: str) -> None:
        """Nothing is to be told of a portfolio."""
        self._due.pop(portfolio_id, None)

    def take_due(self, now: int) -> list[str]:
        """Portfolios of which a price has become too old since they were told; each once."""
        found = []
        while self._entries and self._entries[0][0] <= now:
            at, portfolio_id = heappop(self._entries)
            if self._entered.get(portfolio_id) != at:
                continue
            del self._entered[portfolio_id]
            due = self._due.get(portfolio_id)
            if due is not None and due > now:
                self._enter(due, portfolio_id)
            elif due is not None:
                del self._due[portfolio_id]
                found.append(portfolio_id)
        return found

    def _enter(self, due: int, portfolio_id: str) -> None:
        self._entered[portfolio_id] = due
        heappush(self._entries, (due, portfolio_id))
