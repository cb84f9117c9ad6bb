"""Makes the feeds that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ingest import feeds
from ingest.capture import Capture
from ingest.connection import ConnectionOptions
from ingest.feed import Feed, GeneratingVenue, ListeningVenue, Subscription, Venue
from ingest.live import LiveFeed
from ingest.playback import Playback
from ingest.replay import ReplayFeed
from market.errors import SubscriptionError
from runtime.errors import ConfigurationError, Problem
from runtime.settings import FeedSettings, IngestSettings


async def configured_feeds(settings: IngestSettings, *, capture: Path | None = None) -> list[Feed]:
    """The feeds of the settings, not connected yet; `capture` is the file of a single feed, over that of its settings.

    Raises ConfigurationError naming the setting at fault, RecordingError when a capture cannot be written.
    """
    if not settings.feeds:
        raise ConfigurationError(Problem("ingest.feeds", "no feed is configured, there is nothing to do"))
    if capture is not None and len(settings.feeds) > 1:
        raise ConfigurationError(Problem("ingest.feeds", "one capture file cannot take several feeds: use their capture_file"))
    _check_captures(settings.feeds)
    skew = round(settings.max_clock_skew_seconds * 1e6)
    return [await _feed(name, feed, capture or feed.capture_file, skew) for name, feed in settings.feeds.items()]


async def _feed(name: str, settings: FeedSettings, capture: Path | None, skew: int) -> Feed:
    venue = _venue(name, settings)
    subscriptions = [Subscription(symbol, channel) for symbol in settings.symbols for channel in settings.channels]
    if isinstance(venue, GeneratingVenue):
        return _generated(name, settings, venue, subscriptions, skew)
    if not isinstance(venue, ListeningVenue):
        raise ConfigurationError(Problem(f"ingest.feeds.{name}.feed", f"{settings.feed} can only be replayed"))
    if settings.options:
        raise ConfigurationError(Problem(f"ingest.feeds.{name}.options", f"{settings.feed} knows no options"))
    _check_address(name, settings, venue, subscriptions)
    feed = LiveFeed(
        name,
        venue,
        base_url=settings.websocket_url,
        options=ConnectionOptions(
            backoff=settings.reconnect.backoff(),
            heartbeat_seconds=settings.heartbeat_seconds,
            stale_after_seconds=settings.stale_after_seconds,
            proxy=settings.proxy.get_secret_value() if settings.proxy else True,
        ),
        capture=Capture(capture, settings.feed) if capture is not None else None,
        max_clock_skew=skew,
    )
    await feed.subscribe(subscriptions)
    return feed


def _venue(name: str, settings: FeedSettings) -> Venue:
    try:
        venue = feeds.load(settings.feed)
    except SubscriptionError as error:
        raise ConfigurationError(Problem(f"ingest.feeds.{name}.feed", str(error))) from error
    try:
        venue.check(Subscription(symbol, channel) for symbol in settings.symbols for channel in settings.channels)
    except SubscriptionError as error:
        raise ConfigurationError(Problem(f"ingest.feeds.{name}", str(error))) from error
    return venue


def _generated(name: str, settings: FeedSettings, venue: GeneratingVenue, subscriptions: list[Subscription], skew: int) -> Feed:
    try:
        items = venue.generate(subscriptions, settings.options)
    except ValueError as error:
        raise ConfigurationError(Problem(f"ingest.feeds.{name}.options", str(error))) from error
    return ReplayFeed(name, Playback(venue, max_clock_skew=skew), items, lag=lambda _now: 0)


def _check_address(name: str, settings: FeedSettings, venue: ListeningVenue, subscriptions: list[Subscription]) -> None:
    markets = {venue.route(subscription, None).market for subscription in subscriptions}
    if settings.websocket_url is not None and len(markets) > 1:
        text = f"one address cannot serve the symbols of several markets ({', '.join(sorted(markets))}): make several feeds"
        raise ConfigurationError(Problem(f"ingest.feeds.{name}.websocket_url", text))


def _check_captures(settings: Mapping[str, FeedSettings]) -> None:
    taken: dict[Path, str] = {}
    for name, feed in settings.items():
        if feed.capture_file is not None and taken.setdefault(feed.capture_file, name) != name:
            text = f"feed {taken[feed.capture_file]} writes to the same file"
            raise ConfigurationError(Problem(f"ingest.feeds.{name}.capture_file", text, str(feed.capture_file)))
