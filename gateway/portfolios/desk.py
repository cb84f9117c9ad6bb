"""Where commands are handed in: checked, sent, and answered by what comes back on pf.replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from gateway.identity import PRICING, TRADER, Principal
from gateway.messages import Arrival
from gateway.portfolios.book import PortfolioBook
from gateway.portfolios.producer import Failed
from gateway.portfolios.revaluations import Revaluations
from gateway.portfolios.stats import CommandStats, RevaluationStats
from gateway.portfolios.waiter import Answered, ReplyWaiter
from gateway.refusals import ErrorCode, Refusal, unknown_portfolio, unknown_position
from market.errors import DataValidationError
from market.portfolio_commands import Command, OverridePrice, OverridePrices, check_command
from market.portfolio_reply import PortfolioReply, Reason


class Sender(Protocol):
    """Who brings commands to their topic."""

    def send(self, command: Command, failed: Failed) -> None:
        """Hand a command over; `failed` is called if it did not arrive. Raises Refusal, DataValidationError."""
        ...


def check_may_command(principal: Principal, command: type[Any], portfolio_id: str) -> str:
    """The role in which a principal may give such a command to a portfolio. Raises Refusal."""
    role = PRICING if command in (OverridePrice, OverridePrices) else TRADER
    principal.check_role(role)
    principal.check_portfolio(portfolio_id)
    return role


class Desk:
    """Takes commands in and replies. `clock` gives microseconds since the epoch."""

    def __init__(self, sender: Sender, waiter: ReplyWaiter, clock: Callable[[], int], book: PortfolioBook) -> None:
        self._sender = sender
        self._waiter = waiter
        self.seconds = waiter.seconds
        self.clock = clock
        self.stats = CommandStats(clock())
        self.revaluations = Revaluations(book)
        self.revaluation_stats = RevaluationStats()

    def take(self, arrivals: Iterable[Arrival]) -> None:
        """Answer whoever waits for replies that came, the hub having taken them before."""
        for arrival in arrivals:
            self.revaluations.take(arrival)
            if isinstance(arrival.record, PortfolioReply):
                self.stats.take(arrival.record, self.clock())
                self._waiter.take(arrival.record)

    def submit(self, principal: Principal, command: Command, answered: Answered) -> None:
        """Send a command of a principal; `answered` is told what came of it, at once where it is not sent."""
        try:
            check_may_command(principal, type(command), command.portfolio_id)
            check_command(command)
            if self._waiter.expect(command, answered):
                self._send(command)
        except DataValidationError as error:
            answered(_invalid(error))
        except Refusal as refusal:
            answered(refusal)

    def _send(self, command: Command) -> None:
        try:
            self._sender.send(command, lambda refusal: self._waiter.fail(command, refusal))
        except DataValidationError as error:
            self._waiter.fail(command, _invalid(error))
        except Refusal as refusal:
            self._waiter.fail(command, refusal)


def _invalid(error: DataValidationError) -> Refusal:
    return Refusal(ErrorCode.INVALID_COMMAND, str(error), field=error.field)


_CODES = {
    Reason.STALE_VERSION: ErrorCode.VERSION_CONFLICT,
    Reason.AMBIGUOUS_POSITION: ErrorCode.AMBIGUOUS_POSITION,
    Reason.INVALID_FIELD: ErrorCode.INVALID_COMMAND,
    Reason.COMMAND_ID_REUSED: ErrorCode.INVALID_COMMAND,
    Reason.TOO_LARGE: ErrorCode.INVALID_COMMAND,
}


def outcome_of(command: Command, answer: PortfolioReply | Refusal) -> dict[str, Any]:
    """What is told of an accepted command. Raises Refusal for any other; it names the command's id."""
    if isinstance(answer, Refusal):
        raise Refusal(answer.code, answer.message, **answer.details, command_id=command.command_id)
    if answer.accepted:
        fields = ("portfolio_id", "command_id", "command", "version", "position_id", "decided_at")
        return {name: getattr(answer, name) for name in fields} | {"instruments": _priced(command)}
    raise _refused(answer)


def _priced(command: Command) -> list[str]:
    """The instruments whose prices a command has set or given back."""
    match command:
        case OverridePrice():
            return [command.instrument]
        case OverridePrices():
            return [each.instrument for each in command.prices]
    return []


def _refused(reply: PortfolioReply) -> Refusal:
    details: dict[str, Any] = {"command_id": reply.command_id}
    if reply.reason is Reason.UNKNOWN_PORTFOLIO:
        refusal = unknown_portfolio()
    elif reply.reason is Reason.UNKNOWN_POSITION:
        refusal = unknown_position()
    else:
        code = ErrorCode.COMMAND_REFUSED if reply.reason is None else _CODES.get(reply.reason, ErrorCode.COMMAND_REFUSED)
        refusal = Refusal(code, reply.error or "the command was refused")
        details |= {"reason": reply.reason and reply.reason.value, "field": reply.field, "version": reply.version}
        details |= {"candidates": list(reply.candidates)} if reply.candidates else {}
    refusal.details |= details
    return refusal
