"""`tapeline gateway`: REST and WebSocket for clients."""

from __future__ import annotations

import typer

from runtime import lifecycle, logs
from tapeline.options import ConfigOption, SetOption, read_settings


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(gateway)


def gateway(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Serve quotes, trades and candles to clients over REST and WebSocket on one port."""
    from gateway import service  # here: FastAPI is slow to import, and the other commands do not need it

    settings = read_settings(config, overrides)
    logs.configure("gateway", settings.observability.log_level, settings.observability.log_format)
    raise typer.Exit(lifecycle.run(lambda stop: service.run(settings, stop)))
