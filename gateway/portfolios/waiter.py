"""Commands on their way and who waits for the answer. No I/O; one that is sent again while it is on its way is sent once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.flusher import Scheduler
from gateway.refusals import ErrorCode, Refusal
from market.portfolio_answers import digest_of, is_answer
from market.portfolio_commands import Command
from market.portfolio_reply import PortfolioReply

Answered = Callable[[PortfolioReply | Refusal], None]
"""Takes the answer to a command, or why there is none."""


@dataclass(slots=True)
class _Waiting:
    """A command on its way."""

    command: Command
    timer: Any
    answered: list[Answered] = field(default_factory=list)


class ReplyWaiter:
    """By portfolio and command id; at most `most` at a time, each for `seconds`."""

    def __init__(self, scheduler: Scheduler, seconds: float = 5.0, most: int = 10_000) -> None:
        self._scheduler = scheduler
        self.seconds = seconds
        self._most = most
        self._waiting: dict[tuple[str, str], _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, command: Command, answered: Answered) -> bool:
        """Wait for the answer; whether the command is to be sent, since it is not on its way already. Raises Refusal."""
        key = _key(command)
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= self._most:
                raise Refusal(ErrorCode.NOT_READY, f"{self._most} commands wait for their answers, no more are accepted")
            timer = self._scheduler.call_later(self.seconds, lambda: self._give_up(key))
            self._waiting[key] = _Waiting(command, timer, [answered])
            return True
        if digest_of(waiting.command) != digest_of(command):
            raise Refusal(
                ErrorCode.INVALID_COMMAND, "the id is that of another command, which is on its way", field="command_id"
            )
        waiting.answered.append(answered)
        return False

    def take(self, reply: PortfolioReply) -> None:
        """An answer has come; whoever waits for it is told.

        The late answer to another command, which was given up and whose id was used again, is not taken for it.
        """
        key = reply.portfolio_id, reply.command_id
        waiting = self._waiting.get(key)
        if waiting is not None and is_answer(reply, waiting.command):
            self._end(key, reply)

    def fail(self, command: Command, refusal: Refusal) -> None:
        """There will be no answer to a command."""
        self._end(_key(command), refusal)

    def _give_up(self, key: tuple[str, str]) -> None:
        message = "the command was not answered in time; sent again with the same id it is done once at most"
        self._end(key, Refusal(ErrorCode.NO_ANSWER, message))

    def _end(self, key: tuple[str, str], answer: PortfolioReply | Refusal) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting is None:
            return
        waiting.timer.cancel()
        for answered in waiting.answered:
            answered(answer)


def _key(command: Command) -> tuple[str, str]:
    return command.portfolio_id, command.command_id
