"""Which of two lines' statements is news: both tell of the same stream, and each may lag, lose and repeat.

Statements that the venue numbers, or stamps with a time, are news when they are later than what was told, or as late and
different from all that was told so late. Those that it neither numbers nor stamps cannot be put in order: of these only the
leading line's are told, which is the first that tells any, until it is lost. Trades are told by their ids instead (see
`market.seen_trades`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote

Statement = Quote | Kline | Funding | OpenInterest


@dataclass(slots=True)
class _Told:
    order: tuple[int, ...] | None = None
    contents: set[Statement] = field(default_factory=set)
    leader: str | None = None


class Arbiter:
    """Of the lines of one stream."""

    def __init__(self) -> None:
        self._streams: dict[tuple[type[Statement], str, str], _Told] = {}

    def is_news(self, line: str, statement: Statement) -> bool:
        """Whether to tell what a line stated; it counts as told then."""
        kind = statement.interval if isinstance(statement, Kline) else statement.channel
        told = self._streams.setdefault((type(statement), statement.instrument, kind), _Told())
        order = _order_of(statement)
        if order is None:
            told.leader = told.leader or line
            return told.leader == line
        content = statement._replace(received_at=0, published_at=None)
        if told.order is None or order > told.order:
            told.order, told.contents = order, {content}
            return True
        if order < told.order or content in told.contents:
            return False
        told.contents.add(content)
        return True

    def lost(self, line: str) -> None:
        """A line is down: another one may lead."""
        for told in self._streams.values():
            if told.leader == line:
                told.leader = None


def _order_of(statement: Statement) -> tuple[int, ...] | None:
    """What puts statements of one stream in order, None where there is nothing."""
    if isinstance(statement, Kline):
        return statement.open_time, statement.is_closed, statement.exchange_time or 0
    if isinstance(statement, Quote) and statement.sequence is not None:
        return (statement.sequence,)
    return None if statement.exchange_time is None else (statement.exchange_time,)
