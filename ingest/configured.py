"""Makes the feeds that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ingest import feeds
from ingest.capture import Capture
from ingest.connection import ConnectionOptions
from ingest.feed import Feed, FetchingVenue, GeneratingVenue, ListeningVenue, Subscription, Venue
from ingest.live import LiveFeed
from ingest.playback import Playback
from ingest.quota import Allowances
from ingest.replay import ReplayFeed
from market.errors import SubscriptionError
from market.instrument import venue_of
from runtime.errors import ConfigurationError, Problem
from runtime.settings import FeedSettings, IngestSettings

_OF_CONNECTIONS = (
    "websocket_url",
    "rest_url",
    "proxy",
    "reconnect",
    "heartbeat_seconds",
    "stale_after_seconds",
    "capture_file",
)


async def configured_feeds(settings: IngestSettings, *, capture: Path | None = None) -> list[Feed]:
    """The feeds of the settings, not connected yet; `capture` is the file of a single feed, over that of its settings.

    Raises ConfigurationError naming the setting at fault, RecordingError when a capture cannot be written.
    """
    if not settings.feeds:
        raise _wrong("", "no feed is configured, there is nothing to do")
    if capture is not None:
        settings = _capturing(settings, capture)
    _check_captures(settings.feeds)
    skew, allowances = settings.max_clock_skew, Allowances()
    venues = {name: _venue(name, feed) for name, feed in settings.feeds.items()}
    wanted = {name: _subscriptions(name, feed, venues[name]) for name, feed in settings.feeds.items()}
    _check_together(venues, wanted)
    return [await _feed(name, feed, venues[name], wanted[name], skew, allowances) for name, feed in settings.feeds.items()]


async def _feed(
    name: str, settings: FeedSettings, venue: Venue, subscriptions: list[Subscription], skew: int, allowances: Allowances
) -> Feed:
    if isinstance(venue, GeneratingVenue):
        return _generated(name, settings, venue, subscriptions, skew)
    if not isinstance(venue, ListeningVenue):
        raise _wrong(f"{name}.feed", f"{settings.feed} can only be replayed")
    if settings.options:
        raise _wrong(f"{name}.options", f"{settings.feed} knows no options")
    _check_address(name, settings, venue, subscriptions)
    feed = LiveFeed(
        name,
        venue,
        base_url=settings.websocket_url,
        rest_url=settings.rest_url,
        allowances=allowances,
        options=ConnectionOptions(
            backoff=settings.reconnect.backoff(),
            heartbeat_seconds=settings.heartbeat_seconds,
            stale_after_seconds=settings.stale_after_seconds,
            proxy=settings.proxy.get_secret_value() if settings.proxy else True,
        ),
        capture=Capture(settings.capture_file, settings.feed) if settings.capture_file is not None else None,
        max_clock_skew=skew,
    )
    await feed.subscribe(subscriptions)
    return feed


def _generated(name: str, settings: FeedSettings, venue: GeneratingVenue, subscriptions: list[Subscription], skew: int) -> Feed:
    for setting in _OF_CONNECTIONS:
        if setting in settings.model_fields_set and getattr(settings, setting) is not None:
            raise _wrong(f"{name}.{setting}", f"{settings.feed} makes its frames up: it has no connection and needs no capture")
    try:
        items = venue.generate(subscriptions, settings.options)
    except ValueError as error:
        raise _wrong(f"{name}.options", str(error)) from error
    return ReplayFeed(name, Playback(venue, max_clock_skew=skew), items, lag=lambda _now: 0)


def _venue(name: str, settings: FeedSettings) -> Venue:
    try:
        return feeds.load(settings.feed)
    except SubscriptionError as error:
        raise _wrong(f"{name}.feed", str(error)) from error


def _subscriptions(name: str, settings: FeedSettings, venue: Venue) -> list[Subscription]:
    channels = settings.channels or venue.default_channels
    subscriptions = [Subscription(symbol, channel) for symbol in settings.symbols for channel in channels]
    try:
        venue.check(subscriptions)
    except SubscriptionError as error:
        raise _wrong(name, str(error)) from error
    return subscriptions


def _check_together(venues: Mapping[str, Venue], wanted: Mapping[str, list[Subscription]]) -> None:
    """Refuse what no feed may say beside another: the same stream, or the trades of one instrument by two channels."""
    taken: dict[Subscription, str] = {}
    for name, subscriptions in wanted.items():
        for subscription in subscriptions:
            if taken.setdefault(subscription, name) != name:
                raise _wrong(
                    name, f"feed {taken[subscription]} has {subscription.channel} of {subscription.instrument} already"
                )
        try:
            venues[name].check(other for other in taken if venue_of(other.instrument) == venues[name].name)
        except SubscriptionError as error:
            raise _wrong(name, f"beside the other feeds: {error}") from error


def _check_address(name: str, settings: FeedSettings, venue: ListeningVenue, subscriptions: list[Subscription]) -> None:
    markets = {venue.route(subscription, None).market for subscription in subscriptions}
    for setting in ("websocket_url", "rest_url"):
        if getattr(settings, setting) is not None and len(markets) > 1:
            text = f"one address cannot serve the symbols of several markets ({', '.join(sorted(markets))}): make several feeds"
            raise _wrong(f"{name}.{setting}", text)
    if settings.rest_url is not None and not isinstance(venue, FetchingVenue):
        raise _wrong(f"{name}.rest_url", f"{settings.feed} asks for nothing by REST")


def _capturing(settings: IngestSettings, capture: Path) -> IngestSettings:
    if len(settings.feeds) > 1:
        raise _wrong("", "one capture file cannot take several feeds: use their capture_file")
    feeds = {name: feed.model_copy(update={"capture_file": capture}) for name, feed in settings.feeds.items()}
    return settings.model_copy(update={"feeds": feeds})


def _check_captures(settings: Mapping[str, FeedSettings]) -> None:
    taken: dict[Path, str] = {}
    for name, feed in settings.items():
        if feed.capture_file is not None and taken.setdefault(feed.capture_file, name) != name:
            text = f"feed {taken[feed.capture_file]} writes to the same file"
            raise _wrong(f"{name}.capture_file", text, str(feed.capture_file))


def _wrong(key: str, text: str, value: str = "") -> ConfigurationError:
    """The error of a setting below ingest.feeds."""
    return ConfigurationError(Problem(f"ingest.feeds.{key}".rstrip("."), text, value))
