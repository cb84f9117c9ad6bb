"""`tapeline replay`: recorded frames into the topics."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ingest import feeds, service
from ingest.parsing import listed, summary
from runtime import lifecycle, logs
from runtime.settings import Settings
from tapeline.commands.parse import MarketOption, market_named, venue_named, wrong
from tapeline.options import ConfigOption, SetOption, read_settings


class Times(StrEnum):
    """What becomes of the recorded times."""

    RECORDED = "recorded"
    NOW = "now"


FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, played in the order of their times.")]
VenueOption = Annotated[str, typer.Option("--venue", help=f"Whose frames these are: {', '.join(feeds.names())}.")]
SpeedOption = Annotated[
    str, typer.Option("--speed", metavar="N|max", help="Times the original speed, or as fast as the broker takes it.")
]
TimesOption = Annotated[
    Times, typer.Option("--times", help="Times and ids as recorded, or moved to now as if it happened again.")
]
OffsetOption = Annotated[float, typer.Option("--offset", metavar="SECONDS", help="Leave out the beginning.", min=0)]
MinuteOption = Annotated[
    float | None,
    typer.Option(
        "--minute-within",
        metavar="SECONDS",
        help="With --times now: set event times back by up to a minute so that one of their minutes ends so soon.",
        min=1,
        max=60,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(replay)


def replay(
    files: FilesArgument,
    venue: VenueOption = "binance",
    speed: SpeedOption = "1",
    times: TimesOption = Times.RECORDED,
    offset: OffsetOption = 0.0,
    minute_within: MinuteOption = None,
    market: MarketOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Publish recorded frames as if they came from the venue; counts go to standard error."""
    speaker = venue_named(venue)
    if minute_within is not None and (times is not Times.NOW or _speed(speed) != 1.0):
        raise wrong("--minute-within", "needs --times now and the original speed")
    plan = service.ReplayPlan(
        venue=speaker,
        files=files,
        market=market_named(speaker, market),
        speed=_speed(speed),
        moved=times is Times.NOW,
        offset=round(offset * 1e6),
        close_a_minute_within=None if minute_within is None else round(minute_within * 1e6),
    )
    settings = read_settings(config, overrides)
    logs.configure("replay", settings.observability.log_level, settings.observability.log_format)
    raise typer.Exit(lifecycle.run(lambda stop: _replay(settings, plan, stop)))


async def _replay(settings: Settings, plan: service.ReplayPlan, stop: asyncio.Event) -> None:
    playback, delivered = await service.replay(settings, plan, stop)
    typer.echo(f"{summary(playback)}; delivered {listed(delivered.delivered)}", err=True)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise wrong("--speed", f"{text!r:.20} is neither a number above zero nor max")
    return speed
