"""`tapeline demo`: the main job on the embedded stack, live in the terminal."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tapeline.embedded import EmbeddedError

SecondsOption = Annotated[float | None, typer.Option(metavar="N", min=1, help="End by itself after so many seconds.")]
KeepOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Keep data and logs in this folder, and go on from what it holds.")
]
SimulateOption = Annotated[bool, typer.Option("--simulate", help="Use the simulated feed instead of the recording.")]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(demo)


def demo(seconds: SecondsOption = None, keep: KeepOption = None, simulate: SimulateOption = False) -> None:
    """Replay recorded Binance trades and quotes, moved to now, through every part, and watch them arrive."""
    from tapeline.demo.runner import DemoOptions, run  # here: it imports most of the project
    from tapeline.demo.services import DemoFailed

    logging.disable(logging.WARNING)  # the services log to their files; here the view speaks
    try:
        run(DemoOptions(seconds, keep, simulate), Console())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (DemoFailed, EmbeddedError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
