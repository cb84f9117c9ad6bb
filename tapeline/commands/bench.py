"""`tapeline bench gateway`: load on a gateway that runs, and how it bears it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from runtime.errors import ConfigurationError, Problem
from runtime.open_files import allow_files

if TYPE_CHECKING:
    from tapeline.load.plan import LoadPlan

_SPARE_FILES = 100


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(help="Measure a service that runs.", no_args_is_help=True)
    group.callback()(_bench)
    group.command()(gateway)
    app.add_typer(group, name="bench")


def _bench() -> None:
    """Measure a service that runs."""


def gateway(
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...", help="Instruments, dealt out to the clients in turn.")],
    url: Annotated[str, typer.Option(help="The gateway, without a path.")] = "ws://127.0.0.1:8080",
    clients: Annotated[int, typer.Option(min=1, help="Connections at a time.")] = 100,
    per_client: Annotated[int, typer.Option(min=1, help="Symbols that each client subscribes to.")] = 20,
    data_type: Annotated[str, typer.Option(help="What they subscribe to: TRADE, QUOTE, DEPTH or PRICE.")] = "TRADE",
    seconds: Annotated[float, typer.Option(min=1, help="How long to count.")] = 10.0,
    slow: Annotated[int, typer.Option(min=0, help="Of the clients, so many read too slowly.")] = 0,
    slow_bytes: Annotated[int, typer.Option(min=1, help="Bytes a second that a slow client reads.")] = 1024,
    processes: Annotated[int, typer.Option(min=1, help="Processes of the load, so that it is not what is measured.")] = 1,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tokens or API keys, one a line, used in turn; - for standard input.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Open many connections, subscribe, and count what comes: throughput, percentiles of latency, who was cut and why.

    Latencies compare the gateway's clock, and that of who received a trade, with this machine's. The exit code is 1 when not
    every client was let in and granted all it asked for.
    """
    from tapeline.load.figures import opening_figures, traffic_figures
    from tapeline.load.runner import load

    plan = _plan(url, symbols, clients, per_client, data_type, slow, slow_bytes, token_file)
    _allow_files(-(-clients // processes) + _SPARE_FILES)
    with load(plan, processes) as running:
        opened = running.connect()
        subscribed = running.subscribe()
        running.begin()
        began = time.monotonic()
        time.sleep(seconds)
        answer = running.count()
        figures = opening_figures(opened, subscribed) | traffic_figures(answer, time.monotonic() - began)
    if as_json:
        typer.echo(json.dumps({**figures, "ended": dict(answer.ended)}, indent=2))
    else:
        for name, value in figures.items():
            typer.echo(f"{name:24} {value:16,.2f}")
        for why, count in answer.ended.most_common():
            typer.echo(f"{why:24} {count:16,}")
    raise typer.Exit(0 if subscribed == clients else 1)


def _plan(
    url: str,
    symbols: list[str],
    clients: int,
    per_client: int,
    data_type: str,
    slow: int,
    slow_bytes: int,
    token_file: Path | None,
) -> LoadPlan:
    """What to do. Raises ConfigurationError naming the option that cannot be."""
    from tapeline.load.clients import MESSAGE_TYPES
    from tapeline.load.plan import LoadPlan

    address = urlsplit(url)
    if address.scheme != "ws" or not address.hostname or address.path.strip("/"):
        raise ConfigurationError(Problem("--url", "must be ws://host:port; the load speaks no TLS", repr(url)))
    if data_type not in MESSAGE_TYPES:
        raise ConfigurationError(Problem("--data-type", f"must be one of {', '.join(MESSAGE_TYPES)}", repr(data_type)))
    if slow > clients:
        raise ConfigurationError(Problem("--slow", f"cannot be more than the {clients} clients", str(slow)))
    host, port = address.hostname, address.port or 80
    return LoadPlan(host, port, symbols, clients, per_client, data_type, 0, slow, slow_bytes, _tokens(token_file))


def _tokens(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    try:
        text = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(Problem("--token-file", error.strerror or str(error), str(file))) from error
    if not text.split():
        raise ConfigurationError(Problem("--token-file", "has no token", str(file)))
    return tuple(text.split())


def _allow_files(wanted: int) -> None:
    """Let processes that we start open so many files. Raises ConfigurationError where the system does not."""
    allowed = allow_files(wanted)
    if allowed < wanted:
        text = f"the system allows a process {allowed} open files, and {wanted} are needed; use more --processes"
        raise ConfigurationError(Problem("--clients", text))
