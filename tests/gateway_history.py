"""A history without a database: the records it is given, in pages."""

from __future__ import annotations

from typing import Any, cast

from history.cursors import cursor_of, key_of
from history.reader import History, Page, Span
from market.errors import StorageError


class ListedHistory:
    """Answers every question with its records from the cursor on; `failure` is raised instead."""

    def __init__(self, *records: Any, failure: StorageError | None = None) -> None:
        self._records = records
        self._failure = failure
        self.asked: list[tuple[Any, ...]] = []

    def as_history(self) -> History:
        """As the gateway takes it."""
        return cast("History", self)

    async def trades(self, instrument: str, span: Span) -> Page[Any]:
        """A page."""
        return self._page("trades", instrument, span)

    async def price_changes(self, instrument: str, span: Span) -> Page[Any]:
        """A page."""
        return self._page("price_changes", instrument, span)

    async def funding(self, instrument: str, span: Span) -> Page[Any]:
        """A page."""
        return self._page("funding", instrument, span)

    async def open_interest(self, instrument: str, span: Span) -> Page[Any]:
        """A page."""
        return self._page("open_interest", instrument, span)

    async def candles(self, instrument: str, interval: str, span: Span) -> Page[Any]:
        """A page."""
        return self._page("candles", f"{instrument}|{interval}", span)

    async def valuations(self, portfolio_id: str, span: Span) -> Page[Any]:
        """A page."""
        return self._page("valuations", portfolio_id, span)

    async def day_ends(self, portfolio_id: str, span: Span) -> Page[Any]:
        """A page."""
        return self._page("day_ends", portfolio_id, span)

    async def alerts(self, portfolio_id: str, span: Span) -> Page[Any]:
        """A page."""
        return self._page("alerts", portfolio_id, span)

    def _page(self, question: str, about: str, span: Span) -> Page[Any]:
        self.asked.append((question, about, span))
        if self._failure is not None:
            raise self._failure
        begin = 0 if span.cursor is None else int(key_of(span.cursor, [question], [int])[0])
        end = begin + span.limit
        return Page(list(self._records[begin:end]), cursor_of([question], [end]) if end < len(self._records) else None)
