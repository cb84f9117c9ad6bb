"""`tapeline feeds`: what feeds there are, how those of the settings fare, and commands to those that run."""

from __future__ import annotations

import asyncio
import getpass
import time
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table

from ingest import service, survey
from ingest.clock import SystemClock
from ingest.configured import configured_feeds
from ingest.feed import ConnectionStatus
from market.control import ControlAction, ControlCommand, check_control
from market.errors import DataValidationError
from processors.calendars import Calendars
from runtime import lifecycle, logs
from runtime.kafka import producer_options
from runtime.settings import Settings
from schemas import control_writer
from tapeline.commands.parse import wrong
from tapeline.options import ConfigOption, SetOption, read_settings

FEEDS = typer.Typer(help="What feeds there are, how they fare, and commands to those that run.", no_args_is_help=True)

_WELL = (ConnectionStatus.SUBSCRIBED, ConnectionStatus.STOPPED)

SecondsOption = Annotated[float, typer.Option("--seconds", min=1, max=3600, help="How long to listen.")]
VenueArgument = Annotated[str, typer.Argument(metavar="VENUE", help="Venue part of instrument ids, such as binance.")]
InstrumentsArgument = Annotated[list[str], typer.Argument(metavar="INSTRUMENT...", help="Such as binance:BTC-USDT.")]
ChannelsOption = Annotated[str, typer.Option("--channels", metavar="CHANNEL,...", help="In the venue's words.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why: it is told with each stream's state.")]
ActorOption = Annotated[str | None, typer.Option("--actor", help="Who wants it; the user's name if not given.")]
ForOption = Annotated[
    float | None, typer.Option("--for", metavar="SECONDS", min=1, help="How long it holds; for good if not given.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(FEEDS, name="feeds")


@FEEDS.command("list")
def list_feeds() -> None:
    """Show every feed: its markets, the channels it takes by itself, others that it has, and what it can do."""
    table = Table("feed", "markets", "channels", "also", "can")
    for feed in survey.offered():
        table.add_row(feed.name, *map(", ".join, (feed.markets, feed.channels, feed.others, feed.abilities)))
    Console().print(table)


@FEEDS.command()
def check(seconds: SecondsOption = 10.0, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Listen to the feeds of the settings for a while, without a broker, and show how they fare; 1 when one does not work."""
    settings = read_settings(config, overrides, quiet=True)
    logs.configure("feeds", settings.observability.log_level, settings.observability.log_format)
    found: list[survey.Checked] = []

    calendars = Calendars(settings.processors.calendars)

    async def listen(stop: asyncio.Event) -> None:
        made = await configured_feeds(settings.ingest, calendar_of=calendars.of)
        found.extend(await survey.check_feeds(made, seconds, SystemClock(), stop))

    code = lifecycle.run(listen)
    if not found:  # what is wrong was said
        raise typer.Exit(code)
    table = Table("feed", "state", "records/s", "last, s ago", "frames", "rejected", "reconnects", "healed")
    for one in found:
        age = "never" if one.age is None else f"{one.age:.1f}"
        figures = (one.frames, one.rejected, one.reconnects, one.healed)
        table.add_row(one.name, one.failure or one.status.value, f"{one.rate:.1f}", age, *map(str, figures))
    Console().print(table)
    raise typer.Exit(code or int(any(one.status not in _WELL for one in found)))


@FEEDS.command()
def stop(
    venue: VenueArgument,
    reason: ReasonOption,
    actor: ActorOption = None,
    lasts: ForOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Close the connections to a venue."""
    _send(read_settings(config, overrides), _command(ControlAction.STOP, venue, [], "", (reason, actor, lasts)))


@FEEDS.command()
def start(
    venue: VenueArgument,
    reason: ReasonOption,
    actor: ActorOption = None,
    lasts: ForOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Open the connections to a venue again."""
    _send(read_settings(config, overrides), _command(ControlAction.START, venue, [], "", (reason, actor, lasts)))


@FEEDS.command()
def subscribe(
    instruments: InstrumentsArgument,
    channels: ChannelsOption,
    reason: ReasonOption,
    actor: ActorOption = None,
    lasts: ForOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Have streams listened to beside those of the settings."""
    command = _command(ControlAction.SUBSCRIBE, _venue_of(instruments), instruments, channels, (reason, actor, lasts))
    _send(read_settings(config, overrides), command)


@FEEDS.command()
def unsubscribe(
    instruments: InstrumentsArgument,
    channels: ChannelsOption,
    reason: ReasonOption,
    actor: ActorOption = None,
    lasts: ForOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Have streams listened to no longer."""
    command = _command(ControlAction.UNSUBSCRIBE, _venue_of(instruments), instruments, channels, (reason, actor, lasts))
    _send(read_settings(config, overrides), command)


def _venue_of(instruments: list[str]) -> str:
    return instruments[0].partition(":")[0]


def _command(
    action: ControlAction, venue: str, instruments: list[str], channels: str, why: tuple[str, str | None, float | None]
) -> ControlCommand:
    """A command of now. Raises ConfigurationError naming what is wrong with it."""
    reason, actor, lasts = why
    now = round(time.time() * 1e6)
    names = tuple(name.strip() for name in channels.split(",") if name.strip())
    until = None if lasts is None else now + round(lasts * 1e6)
    command = ControlCommand(
        uuid4().hex, venue, action, tuple(instruments), names, actor or getpass.getuser(), reason, now, until
    )
    try:
        return check_control(command)
    except DataValidationError as error:
        raise wrong(error.field or "command", str(error)) from error


def _send(settings: Settings, command: ControlCommand) -> None:
    codec = service.control_codec(settings)
    control_writer.send(command, producer_options(settings.kafka, "feeds"), codec)
    typer.echo(f"sent: {command.because} ({command.venue}); md.status tells what becomes of it")
