"""What the endpoints share: the hub, the health of the service, the intake and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.door import Door
from gateway.hub import Hub
from gateway.intake import Intake
from gateway.refusals import ErrorCode, Refusal
from runtime.health import Health


@dataclass(frozen=True, slots=True)
class Context:
    """Collaborators of the endpoints. `clock` gives microseconds since the epoch."""

    hub: Hub
    health: Health
    intake: Intake
    door: Door
    clock: Callable[[], int]

    def require_ready(self) -> None:
        """Raise Refusal while the recent records are not read yet: what would be answered is not the latest state."""
        if (reason := self.door.not_ready()) is not None:
            raise Refusal(ErrorCode.NOT_READY, f"the gateway is not ready: {reason}")

    def metadata(self) -> dict[str, Any]:
        """What every answer's metadata holds."""
        return {"timestamp": self.clock(), **self.hub.status()}
