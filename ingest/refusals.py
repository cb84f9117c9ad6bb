"""Requests for streams that a venue refuses: which streams they were for, and which of these are down.

Some venues name the stream that they refuse; others name the request by its number, or nothing. The parsers of those are told
what is asked for on their connection (`Requested`). Nothing of it is in a recording: there such a refusal names no stream.
What was refused together with others is asked for by itself then, so that one stream that a venue does not have costs no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from ingest.feed import Parser, Subscription
from market.errors import DataValidationError


class Refusal(DataValidationError):
    """A venue refuses a request of ours, in its words. `streams` are those that it was for, as far as that is known."""

    def __init__(self, said: str, streams: Sequence[Subscription] = ()) -> None:
        super().__init__("venue_error", f"the venue refuses a request: {said:.200}")
        self.said = said
        self.streams = streams

    @property
    def because(self) -> str:
        """Why a stream of it is down."""
        return f"the venue refuses it: {self.said:.200}"


class Requested:
    """What was asked for on a connection in requests that are not answered yet, by their numbers."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Subscription]] = {}

    def sent(self, number: int, streams: Sequence[Subscription]) -> None:
        """These streams, if any, are asked for in a request of this number."""
        if streams:
            self._waiting[str(number)] = list(streams)

    def answered(self, number: int | str | None) -> list[Subscription]:
        """The streams of the request of a number, which is answered now; none of one that asked for no streams."""
        return self._waiting.pop(str(number), [])

    def confirmed(self, streams: Iterable[Subscription]) -> None:
        """The venue tells that these streams are subscribed to."""
        there = set(streams)
        for number, waiting in list(self._waiting.items()):
            left = self._waiting[number] = [stream for stream in waiting if stream not in there]
            if not left:
                del self._waiting[number]

    def oldest(self) -> list[Subscription]:
        """What is not confirmed of the oldest request, which is answered now.

        It is the one that a venue answers that names none: requests are answered in their order. So an error about something
        else that comes meanwhile is taken for its answer, until its streams tell.
        """
        return self._waiting.pop(next(iter(self._waiting), ""), [])

    def clear(self) -> None:
        """A connection was opened: what was asked for on another one is answered no more."""
        self._waiting.clear()


@runtime_checkable
class RequestedParser(Parser, Protocol):
    """A parser of a venue whose refusals do not name the stream."""

    @property
    def requested(self) -> Requested:
        """What was asked for on the connection that is read; whoever asks says so."""
