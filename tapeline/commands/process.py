"""`tapeline process`: a worker of the processors."""

from __future__ import annotations

import logging
import os

import typer

from runtime import lifecycle, logs
from tapeline.options import ConfigOption, SetOption, read_settings


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(process)


def process(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Turn the trade stream into candles and price changes. Start more of them to share the partitions."""
    from processors import service  # here: Faust takes a second to import, which the other commands need not wait for

    settings = read_settings(config, overrides)
    logs.configure("processors", settings.observability.log_level, settings.observability.log_format)
    code = lifecycle.run(lambda stop: service.run(settings, stop))
    if code:
        logging.shutdown()
        os._exit(code)  # Faust's consumer thread may outlive an app that failed and would keep the process alive
