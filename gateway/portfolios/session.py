"""A client's conversation about portfolios, without I/O: as with market data, but commands are answered later.

Whatever it asks, a portfolio it may not see is as one that does not exist; and what it was granted is looked at again before
anything is told, be it an update or the answer to a command.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from gateway.admission import Admission, Visitor
from gateway.channels.portfolio import Channel as PortfolioChannel
from gateway.identity import PORTFOLIO
from gateway.instruments import Instruments
from gateway.messages import Room, encode
from gateway.outcome import Outcome, SessionLimits
from gateway.portfolios.desk import Desk, check_may_command, outcome_of
from gateway.portfolios.orders import Head, read_form
from gateway.portfolios.requests import PortfolioRequest, parse_portfolio_request
from gateway.refusals import ErrorCode, Refusal
from gateway.resumption import Resumption
from gateway.session import Session, find_action
from market.portfolio_commands import Command
from market.portfolio_reply import PortfolioReply


class PortfolioSession(Session):
    """What a client is subscribed to, and how its messages are answered. Times are microseconds."""

    def __init__(
        self,
        client_id: str,
        portfolio_id: str | None,
        channel: PortfolioChannel,
        desk: Desk,
        limits: SessionLimits,
        visitor: Visitor,
        admission: Admission,
        resumption: Resumption,
    ) -> None:
        super().__init__(client_id, {}, Instruments(), limits, visitor, admission, resumption)
        self._portfolio_id = portfolio_id
        self._channel = channel
        self._desk = desk

    def _do(self, text: bytes, now: int, outcome: Outcome) -> None:
        request = parse_portfolio_request(text)
        doings: Mapping[str, Callable[[PortfolioRequest, int, Outcome], None]] = {
            "subscribe": self._enter,
            "unsubscribe": self._exit,
            "get_snapshot": self._snapshot,
            "register_position": self._command,
            "update_price": self._command,
            "update_price_batch": self._command,
            "ping": self._ping,
            "authenticate": self._authenticate,
        }
        find_action(request.action, doings)(request, now, outcome)

    def resume_metadata(self) -> dict[str, str]:
        """Nothing: who returns gets the portfolio whole."""
        return {}

    def _named(self, request: PortfolioRequest) -> str:
        """The portfolio that is meant, which may be seen. Raises Refusal."""
        principal, portfolio_id = self._principal(), request.portfolio_id or self._portfolio_id
        if portfolio_id is None:
            raise Refusal(ErrorCode.INVALID_MESSAGE, f"{request.action} needs `portfolio_id`, here or in the connection's URL")
        principal.check_portfolio(portfolio_id)
        return portfolio_id

    def _enter(self, request: PortfolioRequest, now: int, outcome: Outcome) -> None:
        portfolio_id = self._named(request)
        grant = self._channel.grant(portfolio_id)
        self.subscriptions.enter(grant.room, self._channel.snapshot(grant, now), outcome)
        data = {"portfolio_id": portfolio_id, "message_type": self._channel.message_type, "delivery": self._channel.delivery}
        outcome.reply = encode("subscribe", now, data, request=request.id)

    def _exit(self, request: PortfolioRequest, now: int, outcome: Outcome) -> None:
        portfolio_id = self._named(request)
        outcome.leaves = self.subscriptions.leave(Room(PORTFOLIO, portfolio_id))
        data = {"portfolio_id": portfolio_id, "was_subscribed": bool(outcome.leaves)}
        outcome.reply = encode("unsubscribe", now, data, request=request.id)

    def _snapshot(self, request: PortfolioRequest, now: int, outcome: Outcome) -> None:
        described = self._channel.describe(self._named(request))
        outcome.reply = encode("get_snapshot", now, described, request=request.id)

    def _command(self, request: PortfolioRequest, now: int, outcome: Outcome) -> None:
        """Send a command; whether the portfolio may be seen is checked before the fields are."""
        portfolio_id, principal = self._named(request), self._principal()
        form = read_form(request.command_fields())
        role = check_may_command(principal, form.makes, portfolio_id)
        command_id = request.command_id or secrets.token_hex(16)
        head = Head(portfolio_id, command_id, request.version(), principal.subject, now, role)
        command = form.order(head)

        def start(answer: Callable[[bytes], None]) -> None:
            self._desk.submit(principal, command, lambda reply: answer(self._told(request, command, reply)))

        outcome.start = start

    def _told(self, request: PortfolioRequest, command: Command, reply: PortfolioReply | Refusal) -> bytes:
        """What is said of a command, at the time it is said."""
        now = self._desk.clock()
        try:
            self._principal().check_portfolio(command.portfolio_id)
            data = outcome_of(command, reply)
        except Refusal as refusal:
            return self._error(refusal, now, request.id)
        return encode(request.action, now, data, _source(reply), request=request.id)


def _source(reply: PortfolioReply | Refusal) -> dict[str, Any]:
    if isinstance(reply, Refusal):
        return {}
    return {"topic": reply.source_topic, "partition": reply.source_partition, "offset": reply.source_offset}
