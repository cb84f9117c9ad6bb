"""The conversation with a client whose messages are a replay: as live, but a subscription waits until its past was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.admission import Admission, Visitor
from gateway.holdings import is_portfolio
from gateway.instruments import Instruments
from gateway.outcome import Outcome, SessionLimits
from gateway.refusals import ErrorCode, Refusal
from gateway.requests import Request
from gateway.resumption import Resumption
from gateway.session import Session

if TYPE_CHECKING:
    from gateway.replay.replay import Replay


class ReplaySession(Session):
    """A session of one replay."""

    def __init__(
        self,
        client_id: str,
        replay: Replay,
        instruments: Instruments,
        limits: SessionLimits,
        visitor: Visitor,
        admission: Admission,
        resumption: Resumption,
    ) -> None:
        super().__init__(client_id, replay.channels, instruments, limits, visitor, admission, resumption)
        self.subscriptions.check = replay.check_retained
        self._replay = replay

    def _subscribe(self, request: Request, now: int, outcome: Outcome) -> None:
        if request.resume is not None or request.seen:
            text = "resume, seen: a replay goes on from a time; connect with the `replay_time` that was told last"
            raise Refusal(ErrorCode.INVALID_SETTING, text)
        if any(map(is_portfolio, request.all_symbols())):
            text = "what a portfolio held at that time is not known here; name the instruments"
            raise Refusal(ErrorCode.INVALID_SETTING, text)
        wanted = self.subscriptions.concerned(request, self._principal())
        outcome.start = lambda answer: self._replay.prepare(wanted, lambda now: self._prepared(request, now))
        self._replay.check_prepared()

    def _prepared(self, request: Request, now: int) -> Outcome:
        """Answer a request to subscribe once its past was read."""
        return self._try(lambda outcome: self._enter(request, now, outcome), now, lambda refusal: request.id)

    def _enter(self, request: Request, now: int, outcome: Outcome) -> None:
        super()._subscribe(request, now, outcome)

    def resume_metadata(self) -> dict[str, Any]:
        """The time of the replay, from which another one can go on."""
        return {"replay_time": self._replay.time}
