"""Which of a source's addresses is asked. Pure: times are parameters, in monotonic seconds.

The first address that is trusted is asked. One that fails is left alone for a while that doubles with each failure; then it is
tried again, so that the first one is returned to. Where none is trusted the one whose while ends first is asked at once:
somebody has to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_FIRST, _LONGEST = 15.0, 600.0


@dataclass(slots=True)
class _Trust:
    failures: int = 0
    until: float = float("-inf")


class Hosts:
    """Addresses in the order of preference. Raises ValueError when there is none."""

    def __init__(self, addresses: Sequence[str]) -> None:
        if not addresses:
            raise ValueError("at least one address is needed")
        self._of = {address.rstrip("/"): _Trust() for address in addresses}

    def __len__(self) -> int:
        return len(self._of)

    def choose(self, now: float) -> str:
        """The address to ask."""
        trusted = (address for address, trust in self._of.items() if trust.until <= now)
        return next(trusted, None) or min(self._of, key=lambda address: self._of[address].until)

    def failed(self, address: str, now: float, left_alone: float = 0.0) -> None:
        """It gave no answer of use; `left_alone` are the seconds that it wants not to be asked for."""
        trust = self._of[address]
        trust.until = now + max(left_alone, min(_LONGEST, _FIRST * 2.0 ** min(trust.failures, 16)))
        trust.failures += 1

    def answered(self, address: str) -> None:
        """It gave one."""
        self._of[address] = _Trust()
