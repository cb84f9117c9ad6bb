"""One side of an order book: its levels sorted by price, exact."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from market.depth import Level


class BookSide:
    """Levels by price. The prices are kept sorted with the best one at the end, where most changes happen."""

    __slots__ = ("_keys", "_levels", "_sign")

    def __init__(self, *, is_bid: bool) -> None:
        self._sign = 1 if is_bid else -1
        self._keys: list[int] = []  # sign × price, rising
        self._levels: dict[int, Level] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Level]:
        """The levels, best first."""
        levels, sign = self._levels, self._sign
        return (levels[sign * key] for key in reversed(self._keys))

    @property
    def top(self) -> Level | None:
        """The best level."""
        return self._levels[self._sign * self._keys[-1]] if self._keys else None

    def best(self, number: int) -> list[Level]:
        """The best levels, best first; all where there are fewer."""
        if number <= 0:
            return []
        levels, sign = self._levels, self._sign
        return [levels[sign * key] for key in reversed(self._keys[-number:])]

    def replace(self, levels: Iterable[Level]) -> None:
        """Hold these levels and no others; of a price that comes twice the last one counts, those of size 0 are left out."""
        self._levels = {level.price: level for level in levels}
        for price in [price for price, level in self._levels.items() if not level.size]:
            del self._levels[price]
        self._keys = sorted(self._sign * price for price in self._levels)

    def put(self, level: Level) -> None:
        """Set the size at a price; size 0 removes it, and is nothing where the price is not there."""
        price = level.price
        if level.size:
            if price not in self._levels:
                insort(self._keys, self._sign * price)
            self._levels[price] = level
        elif self._levels.pop(price, None) is not None:
            del self._keys[bisect_left(self._keys, self._sign * price)]

    def trim(self, most: int) -> list[Level]:
        """Keep the best `most` levels; those that were removed, as a delta removes them."""
        beyond = self._keys[: max(0, len(self._keys) - most)]
        del self._keys[: len(beyond)]
        return [Level(self._levels.pop(self._sign * key).price, 0) for key in beyond]
