"""`tapeline ingest`: live feeds into the topics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ingest import service
from processors.calendars import Calendars
from runtime import lifecycle, logs
from tapeline.options import ConfigOption, SetOption, read_settings

CaptureOption = Annotated[
    Path | None,
    typer.Option("--capture", metavar="FILE", help="Append every frame to this file as well, for replay; .gz compresses."),
]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(ingest)


def ingest(config: ConfigOption = None, overrides: SetOption = None, capture: CaptureOption = None) -> None:
    """Listen to the venues that the settings name under ingest.feeds, and publish what they send."""
    settings = read_settings(config, overrides)
    logs.configure("ingest", settings.observability.log_level, settings.observability.log_format)
    calendars = Calendars(settings.processors.calendars)
    raise typer.Exit(lifecycle.run(lambda stop: service.run(settings, stop, capture=capture, calendar_of=calendars.of)))
