"""The gateway's REST application without a server: asked in this process, fed by hand."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from gateway.door import Door
from gateway.hub import Hub
from gateway.intake import Deliver, Origin, PartitionProgress, Report
from gateway.rest.app import make_app
from gateway.rest.context import Context
from history.reader import History
from runtime.health import Health
from schemas.records import Record
from tests.builders import START
from tests.gateway_parts import HandTurnedLoop, arrivals, make_hub


class NoIntake:
    """What the endpoints ask of an intake."""

    async def run(self, deliver: Deliver, report: Report) -> None:
        """Deliver nothing."""

    def origin(self) -> Origin:
        """From the beginning of whatever it is given."""
        return Origin()

    def progress(self) -> list[PartitionProgress]:
        """Nothing was read."""
        return []


class App:
    """The application, its hub (one that knows these instruments, unless one is given) and a client of it.

    `collaborators` are further ones of its context.
    """

    def __init__(
        self, known: tuple[str, ...] = (), *, hub: Hub | None = None, history: History | None = None, **collaborators: Any
    ) -> None:
        self.hub: Hub = hub or make_hub(HandTurnedLoop(), known=known)
        self.hub.set_problem(None)
        self.health = Health(())
        door = Door(host="0.0.0.0")  # any name is right
        context = Context(self.hub, self.health, NoIntake(), door, lambda: START, history, **collaborators)
        self.application = make_app(context, "1")
        self.client = TestClient(self.application)
        self._offsets: dict[str, int] = {}

    def feed(self, topic: str, *records: Record) -> None:
        """Deliver records as the next ones of a topic."""
        first = self._offsets.get(topic, 0)
        self._offsets[topic] = first + len(records)
        self.hub.take(arrivals(topic, records, first))

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and decoded body of a GET."""
        response = self.client.get(path, headers=headers)
        return response.status_code, response.json()
