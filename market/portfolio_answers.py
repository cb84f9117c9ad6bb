"""Commands in their order, and the answer to each: accepted or refused, the same again to one that is sent again.

A portfolio remembers its last answers, each for some days of its records' time. An id that comes within them gets its answer
once more and changes nothing; for another command it is refused. Refusals are remembered as well: what was told to be refused
is never done later by a repetition. A command to a portfolio that is not there cannot be remembered; a request to revalue one
need not be, since it changes nothing however often it comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from market.errors import ConcurrencyError, DataValidationError
from market.portfolio import Policy, Portfolio
from market.portfolio_changes import Source, change, create
from market.portfolio_commands import ApplyFill, Command, CreatePortfolio, Revalue, SetPolicy, kind_of
from market.portfolio_reply import DIGEST_BYTES, CommandRefused, PortfolioReply, Reason
from market.position_changes import filled_position
from market.quality import check_id, check_time


class Memory(NamedTuple):
    """How many answers a portfolio remembers, and for how long (microseconds)."""

    answers: int = 10_000
    micros: int = 7 * 86_400 * 1_000_000


MEMORY = Memory()


class Remembered(NamedTuple):
    """An answer that was given: `number` counts the portfolio's answers from 0."""

    number: int
    reply: PortfolioReply


class Account(NamedTuple):
    """A portfolio, how many answers it has to remember, and the offset of the last command it took in."""

    applied_offset: int = -1
    answers: int = 0
    portfolio: Portfolio | None = None


class Answer(NamedTuple):
    """What comes of a command: the account after it, and the reply; `remembered` is what to keep of it, None for nothing."""

    account: Account
    reply: PortfolioReply
    remembered: Remembered | None


def answer(account: Account, command: Command, at: int, source: Source, before: Iterable[Remembered], memory: Memory) -> Answer:
    """Answer a command of record time `at`; `before` is what is kept under its id, the latest first.

    What is kept counts only if it was answered before in the order of the topic: after a crash there may be answers of
    commands that are yet to be taken in again.
    """
    offset = source[2]
    earlier = next((one for one in before if one.reply.source_offset < offset), None)
    if earlier is not None and _is_remembered(earlier, account, at, memory):
        is_same = earlier.reply.digest == digest_of(command)
        reply = earlier.reply if is_same else _reused(account, command, at, source)
        return Answer(account._replace(applied_offset=offset), reply, None)
    portfolio, reply = apply(account.portfolio, command, at, source)
    if portfolio is None:
        return Answer(account, reply, None)
    if isinstance(command, Revalue):
        return Answer(account._replace(applied_offset=offset), reply, None)
    return Answer(Account(offset, account.answers + 1, portfolio), reply, Remembered(account.answers, reply))


def _is_remembered(earlier: Remembered, account: Account, at: int, memory: Memory) -> bool:
    return earlier.number >= account.answers - memory.answers and earlier.reply.decided_at >= at - memory.micros


def _reused(account: Account, command: Command, at: int, source: Source) -> PortfolioReply:
    refusal = CommandRefused(Reason.COMMAND_ID_REUSED, "the id was used for another command before", field="command_id")
    return refused(account.portfolio, command, at, source, refusal)


def digest_of(command: Command) -> bytes:
    """What tells a command from others of the same id: all it says, but for when it was issued.

    Of a policy what is not as it is by default counts, so that one more setting makes no other command of those sent before.
    """
    text = repr(command._replace(issued_at=0))
    if isinstance(command, CreatePortfolio | SetPolicy):
        defaults = Policy._field_defaults
        policy = {name: value for name, value in command.policy._asdict().items() if value != defaults[name]}
        text = repr((kind_of(command), command._asdict() | {"issued_at": 0, "policy": policy}))
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def is_answer(reply: PortfolioReply, command: Command) -> bool:
    """Whether a reply is to this command, and not to another one that was sent under its id before."""
    named = reply.portfolio_id, reply.command_id, reply.command
    if named != (command.portfolio_id, command.command_id, kind_of(command)):
        return False
    return not reply.digest or reply.digest == digest_of(command)


def apply(portfolio: Portfolio | None, command: Command, at: int, source: Source) -> tuple[Portfolio | None, PortfolioReply]:
    """Do a command of record time `at`: the portfolio after it, unchanged where it was refused, and the reply."""
    try:
        after = _apply(portfolio, command, at, source)
    except (CommandRefused, ConcurrencyError, DataValidationError) as error:
        return portfolio, refused(portfolio, command, at, source, error)
    position_id = _position_id(portfolio, command)
    return after, _reply(command, at, source, accepted=True, version=after.version, position_id=position_id)


def _apply(portfolio: Portfolio | None, command: Command, at: int, source: Source) -> Portfolio:
    check_time(command.issued_at, field="issued_at")
    check_id(command.actor, field="actor")
    if portfolio is None:
        if not isinstance(command, CreatePortfolio):
            message = f"there is no portfolio {command.portfolio_id}"
            raise CommandRefused(Reason.UNKNOWN_PORTFOLIO, message, field="portfolio_id")
        _check_version(command, 0)
        return create(command, at, source)
    if not isinstance(command, CreatePortfolio):  # which is refused whatever version it expects
        _check_version(command, portfolio.version)
    if isinstance(command, Revalue):
        return portfolio
    return change(portfolio, command, at, source)


def _check_version(command: Command, current: int) -> None:
    """Raise ConcurrencyError where the sender has seen another version."""
    if command.expected_version not in (None, current):
        raise ConcurrencyError(f"expected_version: {command.expected_version} is not the current version {current}")


def refused(
    portfolio: Portfolio | None,
    command: Command,
    at: int,
    source: Source,
    error: CommandRefused | ConcurrencyError | DataValidationError,
) -> PortfolioReply:
    """The reply that says why a command is refused."""
    match error:
        case CommandRefused():
            reason, field, candidates = error.reason, error.field, error.candidates
        case ConcurrencyError():
            reason, field, candidates = Reason.STALE_VERSION, "expected_version", ()
        case DataValidationError():
            reason, field, candidates = Reason.INVALID_FIELD, error.field, ()
    reply = _reply(command, at, source, accepted=False, version=portfolio and portfolio.version, position_id=None)
    return reply._replace(reason=reason, field=field, error=str(error), candidates=candidates)


def _reply(
    command: Command, at: int, source: Source, *, accepted: bool, version: int | None, position_id: str | None
) -> PortfolioReply:
    return PortfolioReply(
        portfolio_id=command.portfolio_id,
        command_id=command.command_id,
        command=kind_of(command),
        accepted=accepted,
        reason=None,
        field=None,
        error=None,
        candidates=(),
        version=version,
        position_id=position_id,
        decided_at=at,
        source_topic=source[0],
        source_partition=source[1],
        source_offset=source[2],
        digest=digest_of(command),
    )


def _position_id(before: Portfolio | None, command: Command) -> str | None:
    """The position of an accepted command. Where a fill goes is seen before it: it may leave flat what was open."""
    if before is not None and isinstance(command, ApplyFill):
        return filled_position(before, command)
    found: str | None = getattr(command, "position_id", None)
    return found
