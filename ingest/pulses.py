"""Which streams of a line are silent while its others tell, judged by how long each of them paused before.

The trades of a quiet instrument pause for minutes, the top of a busy book for parts of a second: no one time fits both. A
stream is silent when it told nothing for `patience`, and for several times its longest pause, though other streams of its line
told something after that. Not judged are streams that were heard in few looks only, such as funding told every eight hours.
Where all are silent, it is the line that is (see `ingest.failover`). Pure: times are parameters, in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ingest.feed import Subscription

PAUSES = 4
"""How many of its longest pauses a stream may be silent."""

HEARD_IN = 12
"""In how many looks a stream must have been heard to be judged."""


class Silence(NamedTuple):
    """A stream that is silent, and for how long (microseconds)."""

    stream: Subscription
    duration: int


@dataclass(slots=True)
class _Pulse:
    heard_at: int
    is_heard: bool = True  # since the last look
    longest: int = 0
    heard_in: int = 0
    asked_after: int = 0  # the silence at which it was told last, none since it was heard


class Pulses:
    """Of the streams of one line."""

    def __init__(self, patience: int | None) -> None:
        """`patience`: microseconds of silence that are always borne; None judges no stream."""
        self._patience = patience
        self._streams: dict[Subscription, _Pulse] = {}

    def heard(self, stream: Subscription, at: int) -> None:
        """A stream told something."""
        if self._patience is None:
            return
        pulse = self._streams.get(stream)
        if pulse is None:
            self._streams[stream] = _Pulse(at)
            return
        pause = at - pulse.heard_at
        if pause > pulse.longest:
            # A stream that was out of order is not expected to be so again, one that is only quiet soon is not judged so.
            pulse.longest = min(pause, max(2 * pulse.longest, self._patience))
        pulse.heard_at, pulse.is_heard, pulse.asked_after = at, True, 0

    def excuse(self, at: int) -> None:
        """Up to now nothing was to be heard: the line was down, or was not read."""
        for pulse in self._streams.values():
            pulse.heard_at = max(pulse.heard_at, at)

    def forget(self, streams: Iterable[Subscription]) -> None:
        """These streams are not wanted any longer."""
        for stream in streams:
            self._streams.pop(stream, None)

    def look(self, last_data: int) -> list[Silence]:
        """The streams that fell silent, and again each time that a silence has doubled.

        `last_data` is when the line told anything last. Of each stream one record since the last look is enough.
        """
        if self._patience is None:
            return []
        found = []
        for stream, pulse in self._streams.items():
            pulse.heard_in, pulse.is_heard = pulse.heard_in + pulse.is_heard, False
            silence = last_data - pulse.heard_at
            borne = max(self._patience, PAUSES * pulse.longest, 2 * pulse.asked_after)
            if pulse.heard_in >= HEARD_IN and silence >= borne:
                pulse.asked_after = silence
                found.append(Silence(stream, silence))
        return found
