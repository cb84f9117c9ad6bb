"""Ids for the trades of venues that give none, such that a trade told again, after connecting again, has its id again.

The id is what is told of the trade, and its number among trades of one instrument and time of which the same is told. Such
trades cannot be told apart, so it does not matter which of them has which number.
"""

from __future__ import annotations

from collections import Counter


class NamelessTrades:
    """The trades of one connection, in the order of their times for each instrument."""

    def __init__(self) -> None:
        self._position = 0
        self._latest: dict[str, tuple[int, Counter[str]]] = {}

    def name(self, instrument: str, time: int, told: str) -> tuple[str, int]:
        """Trade id and sequence (the position in the connection) of the next trade; `told` tells it from others of its time."""
        latest, numbers = self._latest.get(instrument, (-1, Counter[str]()))
        if time != latest:
            numbers = Counter()
            self._latest[instrument] = time, numbers
        numbers[told] += 1
        self._position += 1
        return f"{time}:{told}:{numbers[told]}", self._position
