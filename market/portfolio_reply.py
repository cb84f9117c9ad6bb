"""What comes of a command: it is accepted, or refused for a reason."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from market.errors import DataValidationError, MarketDataError
from market.portfolio_commands import check_name
from market.quality import check_id, check_time, check_whole

DIGEST_BYTES = 8


class Reason(StrEnum):
    """Why a command was refused.

    STALE_VERSION: the expected version is not the current one. COMMAND_ID_REUSED: the id was used for another command before.
    AMBIGUOUS_POSITION: several positions fit. POSITION_OPEN, POSITION_FLAT: it must not be so for this command.
    INVALID_FIELD: a field cannot be so. TOO_LARGE: the portfolio would outgrow one record.
    """

    UNKNOWN_PORTFOLIO = "UNKNOWN_PORTFOLIO"
    PORTFOLIO_EXISTS = "PORTFOLIO_EXISTS"
    STALE_VERSION = "STALE_VERSION"
    COMMAND_ID_REUSED = "COMMAND_ID_REUSED"
    UNKNOWN_POSITION = "UNKNOWN_POSITION"
    POSITION_EXISTS = "POSITION_EXISTS"
    AMBIGUOUS_POSITION = "AMBIGUOUS_POSITION"
    POSITION_OPEN = "POSITION_OPEN"
    POSITION_FLAT = "POSITION_FLAT"
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    INVALID_FIELD = "INVALID_FIELD"
    TOO_LARGE = "TOO_LARGE"


class CommandRefused(MarketDataError):
    """A command cannot be done; `field` is the one at fault, `candidates` are the positions that may be meant."""

    def __init__(self, reason: Reason, message: str, *, field: str | None = None, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field
        self.candidates = candidates


class PortfolioReply(NamedTuple):
    """The answer to a command; one that is sent again gets the same answer again.

    `version` is the portfolio's after the command, or its current one where it was refused; None where there is no portfolio.
    `position_id` is the position that a command was about. `decided_at` is the command's record time (microseconds), and the
    source is the command. `digest` tells which command this answers from others of the same id
    (`market.portfolio_answers.digest_of`); it is empty in answers of the time before it was told.
    """

    portfolio_id: str
    command_id: str
    command: str
    accepted: bool
    reason: Reason | None
    field: str | None
    error: str | None
    candidates: tuple[str, ...]
    version: int | None
    position_id: str | None
    decided_at: int
    source_topic: str
    source_partition: int
    source_offset: int
    digest: bytes = b""


def check_reply(reply: PortfolioReply) -> PortfolioReply:
    """Return a reply unchanged that may answer a command. Raises DataValidationError."""
    check_name(reply.portfolio_id, field="portfolio_id")
    check_id(reply.command_id, field="command_id")
    check_time(reply.decided_at, field="decided_at")
    if reply.accepted == (reply.reason is not None):
        raise DataValidationError("inconsistent", "reason: a refused command has one and no other", field="reason")
    if reply.version is not None:
        check_whole(reply.version, field="version")
    if len(reply.digest) not in (0, DIGEST_BYTES):
        raise DataValidationError("inconsistent", f"digest: has {len(reply.digest)} bytes, not {DIGEST_BYTES}", field="digest")
    return reply
