"""The `tapeline` command: every group of sub-commands in `tapeline/commands`, and how their errors are shown."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from market.errors import MarketDataError
from runtime.errors import RuntimeFault
from tapeline import commands

COMMON = typer.Typer(
    name="tapeline",
    help="Real-time market data on Apache Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tapeline {version('tapeline')}")
        raise typer.Exit


@COMMON.callback()
def _tapeline(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Real-time market data on Apache Kafka."""


def build(wanted: str | None = None) -> typer.Typer:
    """The command line: each file of `commands` registers its own.

    All of them, or only that of the name wanted: what the others import costs a worker 12 MB and part of a second.
    """
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    for name in [wanted] if wanted in names else names:
        importlib.import_module(f"{commands.__name__}.{name}").register(COMMON)
    return COMMON


def main(*first: str) -> None:
    """Run the command line; faults that an operator can mend are one line on standard error.

    `first` are arguments before those that were typed, where what was typed is the name of a command's own.
    """
    arguments = [*first, *sys.argv[1:]]
    try:
        build(next(iter(arguments), None))(arguments, prog_name="tapeline" if first else None)
    except (RuntimeFault, MarketDataError) as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
