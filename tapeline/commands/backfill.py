"""`tapeline backfill`: what a venue told long ago, into the topics of its streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ingest import feeds, service
from ingest.backfill import RetrievingVenue, TellingVenue, check_history
from ingest.bookmarks import Range
from ingest.feed import Subscription
from runtime import lifecycle, logs
from runtime.settings import Settings
from tapeline import embedded
from tapeline.commands.parse import venue_named, wrong
from tapeline.options import ConfigOption, SetOption, read_settings

InstrumentsArgument = Annotated[list[str], typer.Argument(metavar="INSTRUMENT...", help="Such as binance:BTC-USDT.")]
ChannelsOption = Annotated[
    str,
    typer.Option("--channels", metavar="CHANNEL,...", help="The venue's words, such as trade,kline_1m."),
]
FromOption = Annotated[str, typer.Option("--from", metavar="TIME", help="Begin, such as 2024-08-09 or 2024-08-09T12:00Z.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="End, which is not part of it; now if not given.")]
VenueOption = Annotated[
    str | None, typer.Option("--venue", help=f"Whose history, if not the first instrument's own: {', '.join(feeds.names())}.")
]
RestOption = Annotated[str | None, typer.Option("--rest-url", metavar="URL", help="Address instead of the venue's public one.")]
BookmarksOption = Annotated[
    Path | None,
    typer.Option("--progress-file", metavar="FILE", help="Where it is kept how far it has come; the same command goes on."),
]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(backfill)


def backfill(
    instruments: InstrumentsArgument,
    begin: FromOption,
    channels: ChannelsOption = "trade",
    end: ToOption = None,
    venue: VenueOption = None,
    rest_url: RestOption = None,
    progress_file: BookmarksOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Publish trades, klines, funding or open interest of the past to their topics, within the venue's limits; may be resumed.

    Each process keeps to half of what the venue allows an address.
    """
    if venue is None and ":" not in instruments[0]:
        raise wrong("INSTRUMENT", f"{instruments[0]!r:.80} names no venue: write it as binance:BTC-USDT")
    named = instruments[0].partition(":")[0] if venue is None else venue
    speaker = venue_named(named, "INSTRUMENT" if venue is None else "--venue")
    if not isinstance(speaker, TellingVenue | RetrievingVenue):
        able = [name for name in feeds.names() if isinstance(feeds.load(name), TellingVenue | RetrievingVenue)]
        raise wrong("--venue", f"{named} does not tell its history; these do: {', '.join(able)}")
    now = round(time.time() * 1e6)
    since, until = _time("--from", begin), now if end is None else _time("--to", end)
    if until > now:
        raise wrong("--to", f"{end} has not come yet; without it everything up to now is published")
    if since >= until:
        raise wrong("--from", f"{begin} is not before the end")
    names = [name.strip() for name in channels.split(",") if name.strip()]
    wanted = [(Subscription(instrument, channel), since, until) for instrument in instruments for channel in names]
    if isinstance(speaker, RetrievingVenue):
        speaker.check_history(stream for stream, _, _ in wanted)
    else:
        check_history(speaker, wanted)
    settings = read_settings(config, overrides)
    logs.configure("backfill", settings.observability.log_level, settings.observability.log_format)
    kept = progress_file or embedded.data_folder().path / "backfill.json"
    plan = service.BackfillPlan(speaker, wanted, kept, rest_url)
    raise typer.Exit(lifecycle.run(lambda stop: _backfill(settings, plan, stop)))


async def _backfill(settings: Settings, plan: service.BackfillPlan, stop: asyncio.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[records]} records"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        delivered = await service.backfill(settings, plan, stop, told=_shown(progress, plan.wanted))
    ended = "ended early, the same command goes on" if stop.is_set() else "done"
    typer.echo(f"{ended}; published {delivered.delivered.total()} records", err=True)


def _shown(progress: Progress, wanted: list[Range]) -> Callable[[Subscription, int, float], None]:
    """Shows each stream's share as a bar."""
    bars: dict[Subscription, TaskID] = {
        stream: progress.add_task(f"{stream.instrument} {stream.channel}", total=1.0, records=0) for stream, _, _ in wanted
    }
    counts = dict.fromkeys(bars, 0)

    def told(stream: Subscription, records: int, share: float) -> None:
        counts[stream] += records
        progress.update(bars[stream], completed=share, records=counts[stream])

    return told


def _time(option: str, text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise wrong(option, f"{text!r:.40} is no time such as 2024-08-09 or 2024-08-09T12:00Z") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return round(found.timestamp() * 1e6)
