"""What the endpoints share: the hub, the health of the service, the intake and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.door import Door
from gateway.hub import Hub
from gateway.identity import Principal
from gateway.intake import Intake
from gateway.refusals import ErrorCode, Refusal
from history.reader import History
from market.control import ControlCommand
from market.session import TradingCalendar
from runtime.health import Health

CalendarOf = Callable[[str], TradingCalendar | None]

SendControl = Callable[[ControlCommand], None]
"""Hands a command to feeds to the broker and waits until it has it; it blocks. Raises DataPublishError."""


def never_closes(instrument: str) -> TradingCalendar | None:
    """The calendar of venues that have none."""
    return None


@dataclass(frozen=True, slots=True)
class Context:
    """Collaborators of the endpoints. `clock` gives microseconds since the epoch.

    `history` is None where none is served. `calendar_of` gives the trading calendar of an instrument, None where its venue
    never closes, and may take long when it is first asked.
    """

    hub: Hub
    health: Health
    intake: Intake
    door: Door
    clock: Callable[[], int]
    history: History | None = None
    calendar_of: CalendarOf = never_closes
    send_control: SendControl | None = None

    def require_ready(self) -> None:
        """Raise Refusal while the recent records are not read yet: what would be answered is not the latest state."""
        if (reason := self.door.not_ready()) is not None:
            raise Refusal(ErrorCode.NOT_READY, f"the gateway is not ready: {reason}")

    def metadata(self, principal: Principal) -> dict[str, Any]:
        """What the metadata of answers about the market as it is now hold, with the token to subscribe from."""
        return self.stamp() | {"resume": self.hub.resumption.token(principal.subject)}

    def stamp(self) -> dict[str, Any]:
        """When an answer is made, and whether the source was undisturbed then."""
        return {"timestamp": self.clock(), **self.hub.status()}
