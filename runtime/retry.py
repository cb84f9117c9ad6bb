"""Delays between attempts: exponential, capped, jittered. Pure: randomness is a parameter and nobody sleeps here."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

__all__ = ["Backoff", "delays"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each further attempt; there is no last attempt.

    Raises ValueError when the figures contradict each other.
    """

    initial_seconds: float = 0.5
    maximum_seconds: float = 30.0
    factor: float = 2.0
    jitter: float = 0.5
    """Share of each delay left to chance, 0 to 1: a delay lies between `(1 - jitter) · d` and `d`."""

    def __post_init__(self) -> None:
        if not 0 < self.initial_seconds <= self.maximum_seconds:
            raise ValueError("the initial delay must be positive and not above the maximum")
        if self.factor < 1:
            raise ValueError("the factor must be at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError("the jitter must lie between 0 and 1")

    def delay(self, attempt: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait after failed attempt number `attempt` (the first is 0); `chance` returns 0 ≤ x < 1."""
        try:
            full = min(self.maximum_seconds, self.initial_seconds * self.factor**attempt)
        except OverflowError:
            full = self.maximum_seconds
        return full * (1 - self.jitter * chance())


def delays(backoff: Backoff, chance: Callable[[], float] = random.random) -> Iterator[float]:
    """Yield the delays of one run of failures, without end; take a new iterator after a success."""
    return (backoff.delay(attempt, chance) for attempt in count())
