"""What a candle series asks of the bars of one interval: which of them a time belongs to, when they end, which follow.

A venue that never closes has bars that divide the UTC day (`market.interval.Interval`); those of a venue with a trading
calendar are counted in trading time (`market.session.SessionBars`). A bar is known by its open time; all times are event times
in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class Stretch(NamedTuple):
    """Times from `begin` up to, and without, `end`."""

    begin: int
    end: int


class Grid(Protocol):
    """The bars of one interval.

    An open time that no bar has is that of a candle made under another configuration: it lasts the plain length of its
    interval, and no trade is added to it any more.
    """

    @property
    def longest(self) -> int:
        """No two trades of one bar are further apart."""

    def open_time(self, time: int) -> int:
        """The bar that a trade at `time` belongs to. Raises DataValidationError where there is none."""

    def close_time(self, open_time: int) -> int:
        """First instant after the bar's last."""

    def settled_at(self, open_time: int) -> int:
        """From when on no trade belongs to the bar any more: its close time, or the end of the auction after that."""

    def stretches(self, open_time: int) -> Sequence[Stretch]:
        """The times whose trades belong to the bar, ascending."""

    def stretch_at(self, open_time: int, time: int) -> Stretch:
        """That of the bar's stretches which holds `time`; an empty one where none does."""

    def between(self, begin: int, end: int) -> Iterator[int]:
        """Bars that have a time in [begin, end), ascending."""


NOWHERE = Stretch(0, 0)
"""An empty stretch."""
