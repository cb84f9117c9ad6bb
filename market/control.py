"""Commands that steer ingest: start and stop the feeds of a venue, subscribe and unsubscribe streams, for a time or for good.

What is wanted of a venue follows from all of its commands that have not expired: of those that contradict each other the last
one counts. When a command expires, what was wanted before it holds again, so a stop for an hour needs no second command.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from market.errors import DataValidationError
from market.instrument import check_instrument, is_venue_name, venue_of
from market.quality import check_id, check_time

Stream = tuple[str, str]
"""Instrument and channel."""


class ControlAction(StrEnum):
    """What is to be done."""

    START = "START"
    STOP = "STOP"
    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"


class ControlCommand(NamedTuple):
    """Who wants what of a venue, why, and until when (microseconds; None for good).

    SUBSCRIBE and UNSUBSCRIBE are about each of the channels of each of the instruments.
    """

    command_id: str
    venue: str
    action: ControlAction
    instruments: tuple[str, ...]
    channels: tuple[str, ...]
    actor: str
    reason: str
    issued_at: int
    expires_at: int | None = None

    @property
    def streams(self) -> frozenset[Stream]:
        """What it is about."""
        return frozenset((instrument, channel) for instrument in self.instruments for channel in self.channels)

    @property
    def because(self) -> str:
        """Who wants it and why, in words."""
        return f"{self.action.lower()} by {self.actor}: {self.reason}"


class Wanted(NamedTuple):
    """What is wanted of a venue beside what is configured; `because` of the command that started or stopped it last."""

    is_running: bool
    because: str
    added: frozenset[Stream]
    removed: frozenset[Stream]


class Controls:
    """The commands so far."""

    def __init__(self) -> None:
        self._commands: list[ControlCommand] = []

    def take(self, command: ControlCommand) -> None:
        """Take a command in, in the order of the topic. One whose id was taken changes nothing."""
        if all(command.command_id != known.command_id for known in self._commands):
            self._commands.append(command)

    def wanted(self, venue: str, at: int) -> Wanted:
        """What is wanted of a venue at a time."""
        is_running, because = True, ""
        streams: dict[Stream, ControlAction] = {}
        for command in self._commands:
            if command.venue != venue or is_expired(command, at):
                continue
            if command.action in (ControlAction.START, ControlAction.STOP):
                is_running, because = command.action is ControlAction.START, command.because
            else:
                streams.update(dict.fromkeys(command.streams, command.action))
        return Wanted(is_running, because, _of(streams, ControlAction.SUBSCRIBE), _of(streams, ControlAction.UNSUBSCRIBE))


def is_expired(command: ControlCommand, at: int) -> bool:
    """Whether a command holds no longer."""
    return command.expires_at is not None and command.expires_at <= at


def check_control(command: ControlCommand) -> ControlCommand:
    """Return a command unchanged that can be followed. Raises DataValidationError naming the field at fault."""
    check_id(command.command_id, field="command_id")
    check_id(command.actor, field="actor")
    check_id(command.reason, field="reason")
    if not is_venue_name(command.venue):
        raise DataValidationError("bad_venue", f"venue: {command.venue!r:.40} is no name of a venue", field="venue")
    is_about_streams = command.action in (ControlAction.SUBSCRIBE, ControlAction.UNSUBSCRIBE)
    for field in ("instruments", "channels"):
        if bool(getattr(command, field)) != is_about_streams:
            text = "at least one is needed" if is_about_streams else f"{command.action} is about all of a venue"
            raise DataValidationError("inconsistent", f"{field}: {text}", field=field)
    for instrument in command.instruments:
        if venue_of(check_instrument(instrument)) != command.venue:
            text = f"instruments: {instrument} is not of {command.venue}"
            raise DataValidationError("inconsistent", text, field="instruments")
    for channel in command.channels:
        check_id(channel, field="channels")
    check_time(command.issued_at, field="issued_at")
    if command.expires_at is not None and check_time(command.expires_at, field="expires_at") <= command.issued_at:
        raise DataValidationError("bad_time", "expires_at: it is not after issued_at", field="expires_at")
    return command


def _of(streams: dict[Stream, ControlAction], action: ControlAction) -> frozenset[Stream]:
    return frozenset(stream for stream, found in streams.items() if found is action)
