"""One client's conversation, without I/O: a text in, replies and changes of its subscriptions out.

Every text gets one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from gateway.admission import Admission, Visitor
from gateway.channel import Channel
from gateway.close_codes import CloseCode
from gateway.identity import Principal
from gateway.instruments import Instruments
from gateway.messages import Room, encode
from gateway.outcome import Outcome, SessionLimits
from gateway.rates import Rate
from gateway.refusals import ErrorCode, Refusal
from gateway.requests import Request, RequestId, check_depth, id_of, parse_request
from gateway.resumption import Resumption
from gateway.subscriptions import Answer, Subscriptions

A = TypeVar("A")


class Said(Protocol):
    """What messages of all sessions have."""

    @property
    def id(self) -> RequestId:
        """Comes back in the answer."""
        ...

    @property
    def token(self) -> str | None:
        """Of the action `authenticate`."""
        ...


class Session:
    """What a client is subscribed to, and how its messages are answered. Times are microseconds.

    Until its visitor has shown a token, only `authenticate` and `ping` are answered.
    """

    def __init__(
        self,
        client_id: str,
        channels: Mapping[str, Channel],
        instruments: Instruments,
        limits: SessionLimits,
        visitor: Visitor,
        admission: Admission,
        resumption: Resumption,
    ) -> None:
        self.client_id = client_id
        self.subscriptions = Subscriptions(channels, instruments, limits, visitor, resumption)
        self.visitor = visitor
        self.behind = False
        """Whether messages wait that the client was sent before what is answered now."""
        self.counts: Callable[[], list[dict[str, Any]]] = list
        """What became of the messages of each subscription."""
        self._resumption = resumption
        self._limits = limits
        self._admission = admission
        self._errors = Rate(1e6 / limits.error_pause, limits.errors)

    def receive(self, text: bytes, now: int) -> Outcome:
        """Answer a message of the client."""

        def do(outcome: Outcome) -> None:
            self.visitor.take_message(now)
            self._check_size(text)
            check_depth(text, self._limits.message_depth)
            self._do(text, now, outcome)

        return self._try(do, now, lambda refusal: None if refusal.code in _UNREAD else id_of(text))

    def _try(self, do: Callable[[Outcome], None], now: int, request_id: Callable[[Refusal], RequestId]) -> Outcome:
        """What follows from doing something, or from its being refused."""
        outcome = Outcome()
        try:
            do(outcome)
        except Refusal as refusal:
            outcome.start = None
            outcome.reply = self._error(refusal, now, request_id(refusal))
            outcome.refused = True
            outcome.close = self._count_error(now, refusal)
        return outcome

    def _do(self, text: bytes, now: int, outcome: Outcome) -> None:
        """Do what a text asks for. Raises Refusal."""
        request = parse_request(text)
        actions: dict[str, Callable[[Request, int, Outcome], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "subscriptions": self._list,
            "ping": self._ping,
            "authenticate": self._authenticate,
        }  # not kept: there are many sessions, and each would refer to itself
        find_action(request.action, actions)(request, now, outcome)

    def refuse(self, refusal: Refusal, now: int) -> Outcome:
        """Answer something that is no text at all."""
        return Outcome(self._error(refusal, now, None), close=self._count_error(now, refusal))

    def _check_size(self, text: bytes) -> None:
        if len(text) > self._limits.message_bytes:
            raise Refusal(
                ErrorCode.MESSAGE_TOO_LARGE,
                f"the message has {len(text)} bytes, more than the {self._limits.message_bytes} that are accepted",
            )

    # authenticate

    def _authenticate(self, request: Said, now: int, outcome: Outcome) -> None:
        principal = self._admission.identify(self.visitor, request.token, now)
        outcome.lost = self.subscriptions.lose(principal)
        left = [room.describe() for room in outcome.lost]
        outcome.reply = encode("authenticate", now, principal.describe() | {"unsubscribed": left}, request=request.id)

    def _principal(self) -> Principal:
        """Who is speaking. Raises Refusal when that is not known yet."""
        if self.visitor.principal is None:
            raise Refusal(
                ErrorCode.UNAUTHENTICATED, 'show a token first: {"action": "authenticate", "token": …}, or in the request'
            )
        return self.visitor.principal

    # subscriptions

    def _subscribe(self, request: Request, now: int, outcome: Outcome) -> None:
        answer = self.subscriptions.subscribe(request, self._principal(), now, outcome)
        self._answer(request.action, request.id, answer, now, outcome)

    def _unsubscribe(self, request: Request, now: int, outcome: Outcome) -> None:
        answer = self.subscriptions.unsubscribe(request, self._principal(), outcome)
        self._answer(request.action, request.id, answer, now, outcome)

    def _list(self, request: Request, now: int, outcome: Outcome) -> None:
        self._principal()
        watching = [room.describe() for room in self.subscriptions.watches]
        recovering = [room.describe() for room in self.subscriptions.recovering]
        data = {"subscriptions": self.counts(), "recovering": recovering, "watching": watching}
        outcome.reply = encode("subscriptions", now, data, request=request.id)

    def extend(self, instrument: str, now: int) -> Iterator[Outcome]:
        """An instrument is new: subscribe to it whoever watches its venue and may see it."""
        if (principal := self.visitor.principal) is None:
            return
        for outcome, answer in self.subscriptions.extend(instrument, principal, now):
            try:
                if isinstance(answer, Refusal):
                    raise answer
                self._answer("subscribe", None, answer, now, outcome)
            except Refusal as refusal:
                outcome.reply = self._error(refusal, now, None)
            yield outcome

    def hold(self, symbol: str, now: int) -> Iterator[Outcome]:
        """A portfolio may hold others than before: hear of what it holds now, and no more of what it did."""
        if (principal := self.visitor.principal) is None:
            return
        try:
            if left := self.subscriptions.let_go(symbol, principal):
                data = {"unsubscribed": [room.describe() for room in left], "refused": []}
                yield Outcome(encode("unsubscribe", now, data), leaves=left)
            outcome = Outcome()
            answer = self.subscriptions.take_up(symbol, principal, now, outcome)
            if answer.something or answer.refusals:
                self._answer("subscribe", None, answer, now, outcome)
                yield outcome
        except Refusal as refusal:
            yield Outcome(self._error(refusal, now, None))

    def lose(self) -> list[Room]:
        """Leave the rooms that the principal may no longer be in, and return them."""
        return self.subscriptions.lose(self.visitor.principal)

    def resume_metadata(self) -> dict[str, Any]:
        """The token to resume from what was sent up to now; empty where that is not known."""
        principal = self.visitor.principal
        return {} if principal is None else {"resume": self._resumption.token(principal.subject)}

    # ping

    def _ping(self, request: Said, now: int, outcome: Outcome) -> None:
        metadata = {} if self.behind else self.resume_metadata()
        outcome.reply = encode("pong", now, {}, metadata, request=request.id)

    # answers

    def _answer(self, action: str, request_id: Any, answer: Answer, now: int, outcome: Outcome) -> None:
        """One answer to one request: what was done with what was refused, or an error when nothing was done."""
        refusals = answer.refusals
        if refusals and not answer.something:
            first, *others = refusals
            first.details |= {"others": [refusal.body() for refusal in others]} if others else {}
            raise first
        data = answer.data | {"refused": [refusal.body() for refusal in refusals]}
        metadata = self.resume_metadata() if action == "subscribe" else {}
        outcome.reply = encode(action, now, data, metadata, request=request_id)
        if refusals:
            outcome.close = self._count_error(now, refusals[0])

    @staticmethod
    def _error(refusal: Refusal, now: int, request_id: Any) -> bytes:
        return encode("error", now, refusal.body(), request=request_id)

    def _count_error(self, now: int, refusal: Refusal) -> CloseCode | None:
        """The code to close with: for one who errs too often, or shows no valid token when that is due."""
        if self.visitor.principal is None and refusal.code in _NOT_LET_IN:
            return _NOT_LET_IN[refusal.code]
        if self._errors.take(now):
            return None
        return CloseCode.MESSAGE_RATE if refusal.code is ErrorCode.MESSAGE_RATE else CloseCode.TOO_MANY_ERRORS


def find_action(name: str, actions: Mapping[str, A]) -> A:
    """The action of this name. Raises Refusal with those there are."""
    if name not in actions:
        known = list(actions)
        message = f"{name!r:.80} is not an action; there are {', '.join(known)}"
        raise Refusal(ErrorCode.UNKNOWN_ACTION, message, candidates=known)
    return actions[name]


_UNREAD = (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.MESSAGE_RATE, ErrorCode.TOO_DEEP)
"""Refusals of messages that are not worth reading for their id."""

_NOT_LET_IN = {
    ErrorCode.UNAUTHENTICATED: CloseCode.UNAUTHENTICATED,
    ErrorCode.AUTHENTICATION_RATE: CloseCode.UNAUTHENTICATED,
    ErrorCode.TOO_MANY_CONNECTIONS: CloseCode.TOO_MANY_CONNECTIONS,
    ErrorCode.CONNECTION_RATE: CloseCode.TOO_MANY_CONNECTIONS,
}
