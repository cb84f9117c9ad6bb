"""What becomes of a stream that a venue refuses: it is down for the venue's reason, and the refusal is a dead letter."""

from __future__ import annotations

from collections.abc import Callable

from ingest.feed import Parsed, Told
from market.errors import DataValidationError
from market.feed_status import FeedState


def refusal(said: str) -> DataValidationError:
    """Of a frame by which a venue refuses a request of ours, with its words."""
    return DataValidationError("venue_error", f"the venue refuses a request: {said:.200}")


def refused(said: str, channel: str, instrument_of: Callable[[], str]) -> Parsed:
    """The stream that such a frame names, told to be down.

    Raises DataValidationError (`venue_error`) where `instrument_of` raises one: it names no stream that is known.
    """
    error = refusal(said)
    try:
        instrument = instrument_of()
    except DataValidationError:
        raise error from None
    return Parsed(channel, (), (Told(instrument, FeedState.DOWN, f"the venue refuses it: {said:.200}"),), (error,))
