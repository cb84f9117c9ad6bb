"""By which way a line's streams are served: the best of several that is fresh. Pure: times are parameters, in microseconds.

Freshness decides, not whether a socket is open: a way is fresh while what it last told is young. From one that is not fresh
the next one takes over; as soon as a better one tells something again it is returned to. The better ones are therefore
tried all the time, and no switch is for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Way(StrEnum):
    """How streams are served: told by the venue, asked for, or by another feed that stands in."""

    WEBSOCKET = "websocket"
    REST = "rest"
    BACKUP = "backup"


class Switch(NamedTuple):
    """From one way to another, and why."""

    before: Way
    after: Way
    reason: str


class Failover:
    """The ways of one line, best first; the first one is used from the start."""

    def __init__(self, ways: Sequence[Way], fresh_for: int, at: int) -> None:
        """`fresh_for`: microseconds after which a way that tells nothing is left, and which a new one is given to begin."""
        self._ways = ways
        self._fresh_for = fresh_for
        self._heard: dict[Way, int] = {}
        self._since = at
        self.way = ways[0]

    def heard(self, way: Way, at: int) -> None:
        """A way told something."""
        self._heard[way] = max(at, self._heard.get(way, at))

    def resume(self, at: int) -> None:
        """Begin anew with the first way: all were given up on purpose meanwhile."""
        self._heard.clear()
        self._since, self.way = at, self._ways[0]

    def step(self, at: int) -> Switch | None:
        """The switch that is due by now, which is then done."""
        place = self._ways.index(self.way)
        for better in self._ways[:place]:
            heard = self._heard.get(better)
            if heard is not None and heard > self._since and at - heard < self._fresh_for:
                return self._to(better, f"{better} is fresh again", at)
        silence = at - max(self._since, self._heard.get(self.way, self._since))
        if silence >= self._fresh_for and place + 1 < len(self._ways):
            return self._to(self._ways[place + 1], f"nothing by {self.way} for {silence / 1e6:.0f} s", at)
        return None

    def _to(self, way: Way, reason: str, at: int) -> Switch:
        switch = Switch(self.way, way, reason)
        self.way, self._since = way, at
        return switch
