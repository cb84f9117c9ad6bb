"""What positions are valued at: a column of `processors.holdings` for all that choose alike, kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Generic, NamedTuple, Protocol, TypeVar

from market.portfolio import PriceChoice, PriceOverride
from processors.holdings import protocol
from processors.holdings.layout import Holdings


class Choice(NamedTuple):
    """How a price is chosen: positions of one choice have one price. An override has no more than its price and its end."""

    instrument: str
    choices: tuple[PriceChoice, ...]
    stale_after: int
    is_long: bool
    override: PriceOverride | None


Key = TypeVar("Key")
Found = TypeVar("Found")


Change = tuple[int, Key, Found | None, Found | None]
"""The number of a column, its key, what stood in it before, and what stands in it now."""


class Refresh(Protocol[Key, Found]):
    """`Columns.refresh` by compiled code."""

    def __call__(
        self,
        numbers: Mapping[str, Mapping[Key, int]],
        instruments: Iterable[str] | None,
        found: dict[int, Found | None],
        now: int,
        columns: protocol.Columns,
        /,
    ) -> list[Change[Key, Found]]:
        """Find anew what stands in the columns of these instruments, or of all, and put it there; what changed."""


class Columns(Generic[Key, Found]):
    """Columns of an instrument by key; what stands in them is found by `find` from a key and the time, and `put` there.

    Every `take` of a key is given back by `release`. A column that nobody has is kept until `drop_unused`, since who lets go of
    one often takes it again at once; then another key may have it. `refresh` does what all that is for many columns, sooner.
    """

    def __init__(
        self,
        holdings: Holdings,
        find: Callable[[Key, int], Found | None],
        put: Callable[[int, Found | None], None],
        refresh: Refresh[Key, Found] | None = None,
    ) -> None:
        self._holdings = holdings
        self._find = find
        self._put = put
        self._refresh = refresh
        self._numbers: dict[str, dict[Key, int]] = {}
        self._found: dict[int, Found | None] = {}
        self._users: dict[int, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._found)

    def take(self, instrument: str, key: Key, now: int) -> int:
        """The column of a key, which is made where there is none."""
        numbers = self._numbers.setdefault(instrument, {})
        if key not in numbers:
            number = numbers[key] = self._free.pop() if self._free else self._holdings.add_column()
            self._users[number] = 0
            self._found[number] = self._find(key, now)
            self._put(number, self._found[number])
        self._users[numbers[key]] += 1
        return numbers[key]

    def release(self, instrument: str, key: Key) -> None:
        """Give back what was taken; nothing may lie in the column any more that was put there for it."""
        self._users[self._numbers[instrument][key]] -= 1

    def drop_unused(self) -> None:
        """Let go of the columns that nobody has."""
        for instrument, numbers in list(self._numbers.items()):
            for key, number in [(key, number) for key, number in numbers.items() if not self._users[number]]:
                self._put(number, None)
                self._free.append(number)
                del numbers[key], self._found[number], self._users[number]
            if not numbers:
                del self._numbers[instrument]

    def number(self, instrument: str, key: Key) -> int:
        """The number of a column that there is."""
        return self._numbers[instrument][key]

    def found(self, instrument: str, key: Key) -> Found | None:
        """What stands in a column that there is."""
        return self._found[self.number(instrument, key)]

    def instruments(self) -> AbstractSet[str]:
        """Those that have columns."""
        return self._numbers.keys()

    def refresh(self, instruments: Iterable[str] | None, now: int) -> list[Change[Key, Found]]:
        """Find anew what stands in the columns of these instruments, or of all; what changed."""
        if self._refresh is not None:
            return self._refresh(self._numbers, instruments, self._found, now, self._holdings.columns)
        changes = []
        for instrument in self._numbers if instruments is None else instruments:
            for key, number in self._numbers[instrument].items():
                before, found = self._found[number], self._find(key, now)
                if found != before:
                    self._found[number] = found
                    self._put(number, found)
                    changes.append((number, key, before, found))
        return changes
