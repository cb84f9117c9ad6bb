"""A bounded store of latest values: when it is full, the entry not used for the longest time goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from runtime import metrics

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CAPACITY = 10_000


class LatestStore(Generic[K, V]):
    """Latest values by key. Writing and looking up both count as use; look-ups are counted as hits and misses.

    An evicted entry starts anew with the next record of its key, so what only earlier records told is missing until then.
    """

    def __init__(self, name: str, capacity: int = CAPACITY) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._capacity = capacity
        self._hits = metrics.CACHE_REQUESTS.labels(name, "hit")
        self._misses = metrics.CACHE_REQUESTS.labels(name, "miss")
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, key: K, make: Callable[[], V]) -> V:
        """The value to be updated in place; `make` gives the first one."""
        value = self._entries.get(key)
        if value is None:
            value = self._entries[key] = make()
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(key)
        return value

    def look_up(self, key: K) -> V | None:
        """The value a client asks for, None when there is none."""
        value = self._entries.get(key)
        if value is None:
            self.misses += 1
            self._misses.inc()
            return None
        self.hits += 1
        self._hits.inc()
        self._entries.move_to_end(key)
        return value
