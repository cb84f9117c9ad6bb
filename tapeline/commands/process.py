"""`tapeline process`: a worker of the processors, or several."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from runtime import lifecycle, logs
from runtime.memory import keep_freed_memory
from runtime.settings import Settings
from tapeline.options import ConfigOption, SetOption, read_settings

WorkersOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Run N workers as processes of their own and start again those that fail."),
]
WorkerOption = Annotated[
    int | None, typer.Option(min=0, hidden=True, help="Which of several workers this is; set by what runs them.")
]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(process)


def process(
    config: ConfigOption = None, overrides: SetOption = None, workers: WorkersOption = None, worker: WorkerOption = None
) -> None:
    """Turn the trade stream into candles and price changes. More workers, here or elsewhere, share the partitions."""
    settings = read_settings(config, overrides, quiet=worker is not None)
    if workers is None:
        _work(settings, worker)
    else:
        _supervise(settings, _as_given(config, overrides), workers)


def _work(settings: Settings, worker: int | None) -> None:
    from processors import service  # here: Faust takes a second to import, which the other commands need not wait for

    keep_freed_memory()
    fields = {} if worker is None else {"worker": worker}
    logs.configure("processors", settings.observability.log_level, settings.observability.log_format, fields=fields)
    code = lifecycle.run(lambda stop: service.run(settings, stop, worker or 0))
    if code:
        logging.shutdown()
        os._exit(code)  # Faust's consumer thread may outlive an app that failed and would keep the process alive


def _supervise(settings: Settings, options: list[str], workers: int) -> None:
    from tapeline import supervisor  # here: its metrics would stand among those of every worker

    logs.configure("supervisor", settings.observability.log_level, settings.observability.log_format)
    code = lifecycle.run_blocking(
        lambda stop: supervisor.run(settings, options, workers, stop), drain_seconds=supervisor.DRAIN_SECONDS
    )
    raise typer.Exit(code)


def _as_given(config: Path | None, overrides: list[str] | None) -> list[str]:
    options = [] if config is None else ["-c", str(config)]
    return [*options, *(word for override in overrides or [] for word in ("--set", override))]
