"""`tapeline gateway`: REST and WebSocket for clients; `tapeline gateway key`: a key for one of them."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime import lifecycle, logs
from runtime.errors import ConfigurationError, Problem
from runtime.memory import keep_freed_memory
from tapeline.options import ConfigOption, SetOption, read_settings

if TYPE_CHECKING:
    from gateway.api_keys import ApiKey

_DAY = 86_400_000_000
_SETTING = "gateway.access.key_file"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    group = typer.Typer(help="Serve clients over REST and WebSocket.")
    group.callback(invoke_without_command=True)(gateway)
    group.command()(key)
    app.add_typer(group, name="gateway")


def gateway(context: typer.Context, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Serve quotes, trades and candles to clients over REST and WebSocket on one port."""
    if context.invoked_subcommand is not None:
        return
    from gateway import service  # here: FastAPI is slow to import, and the other commands do not need it
    from processors.calendars import Calendars

    keep_freed_memory()  # asyncio asks for 256 KiB each time it reads from a socket
    settings = read_settings(config, overrides)
    logs.configure("gateway", settings.observability.log_level, settings.observability.log_format)
    calendars = Calendars(settings.processors.calendars)
    raise typer.Exit(lifecycle.run(lambda stop: service.run(settings, stop, calendar_of=calendars.of)))


def key(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Whom the key stands for; quotas count by it.")],
    symbol: Annotated[
        list[str] | None, typer.Option(metavar="SYMBOL", help="May see this instrument, venue:* or *; may be repeated.")
    ] = None,
    data_type: Annotated[
        list[str] | None, typer.Option(metavar="TYPE", help="May read this data type (QUOTE), or *; may be repeated.")
    ] = None,
    portfolio: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="May see this portfolio, or *; may be repeated.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(metavar="ROLE", help="Has this role (admin); may be repeated.")] = None,
    days: Annotated[float | None, typer.Option(metavar="DAYS", min=0, help="Ends after so many days.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to add it to; else that of gateway.access.key_file.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Make an API key, add its hash to the key file, and print it: this once only.

    A running gateway takes it within seconds. What is not named is not granted.
    """
    from gateway.api_keys import make_key
    from gateway.identity import read_grants

    path = file or read_settings(config, overrides, quiet=True).gateway.access.key_file
    if path is None:
        raise ConfigurationError(Problem(_SETTING, "is needed, or the option --file"))
    named = {"symbols": symbol, "data_types": data_type, "portfolios": portfolio, "roles": role}
    try:
        grants = read_grants({name: values or [] for name, values in named.items()})
    except ValueError as error:
        raise ConfigurationError(Problem("", str(error))) from error
    expires_at = None if days is None else time.time_ns() // 1000 + int(days * _DAY)
    secret, entry = make_key(subject, grants, expires_at)
    _add(path.expanduser(), entry)
    typer.echo(secret)


def _add(path: Path, entry: ApiKey) -> None:
    """Add an entry to the file, which is replaced as a whole, so that no reader sees half of it."""
    from gateway.api_keys import read_keys, write_keys

    try:
        before = read_keys(path.read_bytes()) if path.exists() else ()
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # readable by its owner only
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(write_keys((*before, entry)))
            if path.exists():
                os.chmod(made, path.stat().st_mode & 0o777)  # the gateway may run as another user of the group
            os.replace(made, path)
        except BaseException:
            os.unlink(made)
            raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(Problem(_SETTING, reason, str(path))) from error
