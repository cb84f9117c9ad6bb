"""What a venue can be asked for: instruments of its own form, channels it has, one channel for the trades of an instrument."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ingest.feed import StreamRequest, Subscription
from market.errors import SubscriptionError
from market.instrument import code_of, venue_of

_T = TypeVar("_T")


def in_parts(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    """The items in order, at most `size` a part: venues bound what one message may ask for."""
    return [items[at : at + size] for at in range(0, len(items), size)]


def by_channel_in_parts(
    subscriptions: Iterable[Subscription], size: int | Callable[[str], int]
) -> list[tuple[str, Sequence[Subscription]]]:
    """What each message asks for, of venues that take one channel a message: a channel, and at most `size` streams of it."""
    streams: dict[str, list[Subscription]] = {}
    for subscription in subscriptions:
        streams.setdefault(subscription.channel, []).append(subscription)
    most = size if callable(size) else lambda _channel: size
    return [(channel, part) for channel, each in streams.items() for part in in_parts(each, most(channel))]


def symbols_of(subscriptions: Iterable[Subscription], symbol_of: Callable[[str], str]) -> list[str]:
    """The venue's symbols to ask for."""
    return [symbol_of(subscription.instrument) for subscription in subscriptions]


def stream_request(content: Mapping[str, object], streams: Sequence[Subscription] = ()) -> StreamRequest:
    """A request in JSON."""
    return StreamRequest(msgspec.json.encode(content).decode(), streams)


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
