"""Makes the feeds that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ingest import feeds
from ingest.capture import Capture
from ingest.clock import SystemClock
from ingest.connection import ConnectionOptions
from ingest.feed import (
    Asking,
    Feed,
    GeneratingVenue,
    ListeningVenue,
    PolledVenue,
    Subscription,
    Venue,
)
from ingest.live import LiveFeed
from ingest.playback import Playback
from ingest.polled import CalendarOf, PolledFeed
from ingest.quota import Allowances
from ingest.replay import ReplayFeed
from ingest.standing_in import FailoverOptions
from market.composite import Composite
from market.errors import DataValidationError, SubscriptionError
from market.instrument import check_instrument
from runtime.errors import ConfigurationError, Problem
from runtime.settings import FeedSettings, IngestSettings

_OF_CONNECTIONS = (
    "websocket_url",
    "rest_url",
    "proxy",
    "reconnect",
    "heartbeat_seconds",
    "stale_after_seconds",
    "stream_stale_seconds",
    "failover",
    "lines",
    "definition_seconds",
    "capture_file",
)


async def configured_feeds(
    settings: IngestSettings, *, capture: Path | None = None, calendar_of: CalendarOf = lambda _instrument: None
) -> list[Feed]:
    """The feeds of the settings, not connected yet; `capture` is the file of a single feed, over that of its settings.

    `calendar_of` tells when feeds that ask have something to ask for.
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
    replaced = _replaced(settings.feeds, venues)
    _check_together(venues, wanted, replaced)
    _check_traded_once(venues, wanted)
    common = _Common(skew, allowances, calendar_of)
    made: dict[str, Feed] = {}
    for name in sorted(settings.feeds, key=lambda name: name in replaced):  # those that stand in come last
        other = made.get(replaced.get(name, ""))
        made[name] = await _feed(name, settings.feeds[name], venues[name], wanted[name], common, other)
    return [made[name] for name in settings.feeds]


def configured_composites(settings: IngestSettings) -> list[Composite]:
    """The composite quotes of the settings. Raises ConfigurationError naming the setting at fault."""
    there = {symbol for feed in settings.feeds.values() for symbol in feed.symbols}
    composites = []
    for name, wanted in settings.composites.items():
        missing = [source for source in wanted.sources if source not in there]
        key = f"ingest.composites.{name}"
        if missing:
            raise ConfigurationError(Problem(f"{key}.sources", f"no feed has {', '.join(missing)}"))
        try:
            instrument = check_instrument(f"composite:{name.upper().replace('_', '-')}")
        except DataValidationError as error:
            raise ConfigurationError(Problem(key, str(error))) from error
        composites.append(Composite(instrument, wanted.sources, round(wanted.stale_after_seconds * 1e6)))
    return composites


class _Common(NamedTuple):
    """What the feeds of a process share."""

    max_clock_skew: int
    allowances: Allowances
    calendar_of: CalendarOf


async def _feed(
    name: str,
    settings: FeedSettings,
    venue: Venue,
    subscriptions: list[Subscription],
    common: _Common,
    replaced: Feed | None,
) -> Feed:
    if isinstance(venue, GeneratingVenue):
        return _generated(name, settings, venue, subscriptions, common.max_clock_skew)
    if isinstance(venue, PolledVenue):
        return await _polled(name, settings, venue, subscriptions, common)
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
        allowances=common.allowances,
        options=_connection_options(settings),
        capture=_capture(settings),
        max_clock_skew=common.max_clock_skew,
        failover=_failover(settings) if replaced is None else None,
        session=replaced.session if isinstance(replaced, LiveFeed) and replaced.venue == venue.name else None,
        stands_in=replaced is not None,
        lines=settings.lines,
        definition_seconds=settings.definition_seconds if replaced is None else None,
    )
    if isinstance(replaced, LiveFeed):
        replaced.be_replaced_by(feed)
    await feed.subscribe(subscriptions)
    return feed


async def _polled(
    name: str, settings: FeedSettings, venue: PolledVenue, subscriptions: list[Subscription], common: _Common
) -> Feed:
    for setting in ("websocket_url", "heartbeat_seconds", "failover", "lines"):
        if setting in settings.model_fields_set and getattr(settings, setting) is not None:
            raise _wrong(f"{name}.{setting}", f"{settings.feed} asks again and again: it has no connection that lasts")
    clock = SystemClock()
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    try:
        source = venue.source(Asking(clock, common.allowances, settings.rest_url, proxy))
    except SubscriptionError as error:
        raise _wrong(f"{name}.feed", str(error)) from error
    feed = PolledFeed(
        name,
        venue,
        source,
        clock=clock,
        calendar_of=common.calendar_of,
        options=_connection_options(settings),
        capture=_capture(settings),
        max_clock_skew=common.max_clock_skew,
    )
    await feed.subscribe(subscriptions)
    return feed


def _connection_options(settings: FeedSettings) -> ConnectionOptions:
    return ConnectionOptions(
        backoff=settings.reconnect.backoff(),
        heartbeat_seconds=settings.heartbeat_seconds,
        stale_after_seconds=settings.stale_after_seconds,
        stream_stale_seconds=settings.stream_stale_seconds,
        proxy=settings.proxy.get_secret_value() if settings.proxy else True,
    )


def _capture(settings: FeedSettings) -> Capture | None:
    return Capture(settings.capture_file, settings.feed) if settings.capture_file is not None else None


def _failover(settings: FeedSettings) -> FailoverOptions | None:
    options = settings.failover
    return FailoverOptions(options.fresh_seconds, options.poll_seconds) if options.enabled else None


def _replaced(settings: Mapping[str, FeedSettings], venues: Mapping[str, Venue]) -> dict[str, str]:
    """The feed that each stands in for, of those that do."""
    replaced: dict[str, str] = {}
    for name, feed in settings.items():
        backup = feed.failover.backup
        if backup is None:
            continue
        text = None
        if backup not in settings:
            text = f"there is no such feed; there are: {', '.join(settings)}"
        elif backup == name or settings[backup].failover.backup is not None:
            text = "it has a backup itself, and only one feed can stand in"
        elif not isinstance(venues[backup], ListeningVenue) or not isinstance(venues[name], ListeningVenue):
            text = "only a feed with a venue to connect to can stand in, and only for such a feed"
        elif replaced.setdefault(backup, name) != name:
            text = f"it stands in for feed {replaced[backup]} already"
        if text is not None:
            raise _wrong(f"{name}.failover.backup", text, backup)
    return replaced


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
        venue = feeds.load(settings.feed)
    except SubscriptionError as error:
        raise _wrong(f"{name}.feed", str(error)) from error
    if not isinstance(venue, PolledVenue):
        return venue
    try:
        return venue.configured(settings.options)
    except ValueError as error:
        raise _wrong(f"{name}.options", str(error)) from error


def _subscriptions(name: str, settings: FeedSettings, venue: Venue) -> list[Subscription]:
    channels = settings.channels or venue.default_channels
    subscriptions = [Subscription(symbol, channel) for symbol in settings.symbols for channel in channels]
    try:
        venue.check(subscriptions)
    except SubscriptionError as error:
        raise _wrong(name, str(error)) from error
    return subscriptions


def _check_together(venues: Mapping[str, Venue], wanted: Mapping[str, list[Subscription]], replaced: Mapping[str, str]) -> None:
    """Refuse what no feed may say beside another: the same stream, or the trades of one instrument by two channels.

    What stands in for a feed may say the same.
    """
    taken: dict[Subscription, str] = {}
    for name, subscriptions in wanted.items():
        for subscription in subscriptions:
            other = taken.setdefault(subscription, name)
            if other != name and other != replaced.get(name) and name != replaced.get(other):
                raise _wrong(name, f"feed {other} has {subscription.channel} of {subscription.instrument} already")
        try:
            venues[name].check(other for other in taken if venues[taken[other]].name == venues[name].name)
        except SubscriptionError as error:
            raise _wrong(name, f"beside the other feeds: {error}") from error


def _check_traded_once(venues: Mapping[str, Venue], wanted: Mapping[str, list[Subscription]]) -> None:
    """Refuse trades of one instrument by a feed that asks and by another one: each would count them."""
    taken: dict[str, str] = {}
    asking = {name: venue for name, venue in venues.items() if isinstance(venue, PolledVenue)}
    for name, subscriptions in wanted.items() if asking else ():
        venue = asking.get(name)
        traded = (
            {stream.instrument for stream in subscriptions if "trade" in stream.channel.lower()}
            if venue is None
            else venue.traded(subscriptions)
        )
        for instrument in sorted(traded):
            other = taken.setdefault(instrument, name)
            if other != name and (name in asking or other in asking):
                raise _wrong(name, f"feed {other} tells the trades of {instrument} already")


def _check_address(name: str, settings: FeedSettings, venue: ListeningVenue, subscriptions: list[Subscription]) -> None:
    markets = {venue.route(subscription, None).market for subscription in subscriptions}
    for setting in ("websocket_url", "rest_url"):
        if getattr(settings, setting) is not None and len(markets) > 1:
            text = f"one address cannot serve the symbols of several markets ({', '.join(sorted(markets))}): make several feeds"
            raise _wrong(f"{name}.{setting}", text)


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
