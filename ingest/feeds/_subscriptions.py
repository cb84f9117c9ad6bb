"""What a venue can be asked for: instruments of its own form, channels it has, one channel for the trades of an instrument."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ingest.feed import Subscription
from market.errors import SubscriptionError
from market.instrument import code_of, venue_of

_T = TypeVar("_T")


def in_parts(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    """The items in order, at most `size` a part: venues bound what one message may ask for."""
    return [items[at : at + size] for at in range(0, len(items), size)]


def by_channel(subscriptions: Iterable[Subscription], symbol_of: Callable[[str], str]) -> dict[str, list[str]]:
    """The venue's symbols to ask for in each channel, for venues that take one channel a message."""
    symbols: dict[str, list[str]] = {}
    for instrument, channel in subscriptions:
        symbols.setdefault(channel, []).append(symbol_of(instrument))
    return symbols


def by_channel_in_parts(
    subscriptions: Iterable[Subscription], symbol_of: Callable[[str], str], size: int
) -> list[tuple[str, Sequence[str]]]:
    """What each message asks for: a channel, and at most `size` of the venue's symbols."""
    symbols = by_channel(subscriptions, symbol_of)
    return [(channel, part) for channel, names in symbols.items() for part in in_parts(names, size)]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a venue has. `channels` are shown to users; `has` tells of any channel whether it exists."""

    venue: str
    code: re.Pattern[str]
    examples: str
    channels: Sequence[str]
    has: Callable[[str], bool]
    trade_channels: Sequence[str] = ()

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """Raise SubscriptionError for what the venue does not have, or what would count an instrument's trades twice."""
        chosen: dict[str, str] = {}
        for instrument, channel in subscriptions:
            if venue_of(instrument) != self.venue or not self.code.fullmatch(code_of(instrument)):
                raise SubscriptionError(f"{instrument!r:.80} is no instrument of {self.venue}: write {self.examples}")
            if not self.has(channel):
                raise SubscriptionError(
                    f"{channel!r:.40} is no channel of {self.venue}: there are {', '.join(self.channels)} and the like"
                )
            if channel in self.trade_channels and chosen.setdefault(instrument, channel) != channel:
                both = " and ".join(name for name in self.trade_channels if name in (channel, chosen[instrument]))
                raise SubscriptionError(f"{instrument} has both {both}, which would count its trades twice")
