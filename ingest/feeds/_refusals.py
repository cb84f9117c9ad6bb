"""Frames by which a venue refuses a request of ours: its streams are down for the venue's reason, the frame is a dead letter.

Where the answer is to a request for several streams, all of them are, even where its words name the one at fault: whether the
others are served is not documented of any venue. Those that are tell so with their next message, or when asked for alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from ingest.feed import Parsed, Subscription
from ingest.refusals import Refusal
from market.errors import DataValidationError

_Symbol = TypeVar("_Symbol")

_SERVED = re.compile(r"\balready\b|\bdup(licate)?\b", re.IGNORECASE)
"""Words that the stream is subscribed to already: so it is not refused."""


def refused(said: Iterable[object], streams: Iterable[Subscription] = ()) -> Parsed:
    """A frame by which a venue refuses these streams, in words of which the empty ones are left out."""
    words = " ".join(str(word) for word in said if word not in (None, "")) or "without a word"
    return Parsed("reply", (), (), (Refusal(words, () if _SERVED.search(words) else tuple(streams)),))


def streams_named(channel: str, instrument_of: Callable[[_Symbol], str], *symbols: _Symbol) -> list[Subscription]:
    """The streams that an answer names, without those of which `instrument_of` raises DataValidationError: none is known."""
    named = []
    for symbol in symbols:
        with suppress(DataValidationError):
            named.append(Subscription(instrument_of(symbol), channel))
    return named
