"""How much may be asked of a venue's REST servers, and when. Pure: times are parameters, in monotonic seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `weight` in any `seconds`; what a request weighs is the venue's to say."""

    weight: int
    seconds: float


class Allowance:
    """What is left of a quota. Shared by all who ask the same servers from here."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._used: deque[tuple[float, int]] = deque()
        self._weight = 0
        self._closed_until = float("-inf")

    def take(self, weight: int, now: float) -> float:
        """Take a request's weight out and return 0, or take nothing and return how many seconds to wait before asking again.

        Raises ValueError for a request that the quota can never cover.
        """
        if weight > self._quota.weight:
            raise ValueError(f"a request of weight {weight} is above the quota of {self._quota.weight}")
        if now < self._closed_until:
            return self._closed_until - now
        while self._used and self._used[0][0] + self._quota.seconds <= now:
            self._weight -= self._used.popleft()[1]
        if self._weight + weight > self._quota.weight:
            return self._used[0][0] + self._quota.seconds - now
        self._used.append((now, weight))
        self._weight += weight
        return 0.0

    def close(self, until: float) -> None:
        """The venue wants to be left alone until then."""
        self._closed_until = max(self._closed_until, until)


class Allowances:
    """The allowances of a process, by the address that counts them."""

    def __init__(self) -> None:
        self._of: dict[str, Allowance] = {}

    def of(self, address: str, quota: Quota) -> Allowance:
        """The allowance of an address, made on the first call."""
        return self._of.setdefault(address, Allowance(quota))
