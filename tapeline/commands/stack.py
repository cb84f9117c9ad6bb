"""`tapeline up | down | status | doctor`: the embedded stack from the command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from runtime.redaction import redact_text
from tapeline import embedded
from tapeline.embedded import ConsoleProgress, DataFolder, ServerStatus, data_folder

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", envvar="TAPELINE_HOME", help="Folder of the servers' data, ports and logs."),
]
ServersArgument = Annotated[
    list[str] | None, typer.Argument(metavar="SERVER", help="Servers to start, with what they need; all by default.")
]
PortOption = Annotated[
    list[str] | None, typer.Option("--port", metavar="NAME=N", help="Fix a port, for example kafka=9092; may be repeated.")
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds within which each server must answer.", min=1)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, addresses with their passwords.")]

_CONDITION_STYLE = {"ready": "green", "not ready": "red", "ended": "red", "stopped": "dim"}
_VERDICT_STYLE = {"ok": "green", "warn": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(doctor)


def up(
    servers: ServersArgument = None,
    data: DataOption = None,
    port: PortOption = None,
    timeout: TimeoutOption = 90,
) -> None:
    """Start Kafka, the schema registry, PostgreSQL and InfluxDB in the background, on loopback; keep their data.

    Downloads what they are made of the first time. InfluxDB is left out where it is not installed, unless it is named: then it
    is built from source, in minutes. What runs already stays as it is.
    """
    folder, console = data_folder(data), Console()
    try:
        with ConsoleProgress(console) as progress:
            done = embedded.up(folder, servers or None, ports=_ports(port or []), progress=progress, timeout=timeout)
    except KeyboardInterrupt:
        typer.echo("Interrupted. What this command started is stopped; what was downloaded is kept.", err=True)
        raise typer.Exit(130) from None
    if not done.started:
        _say(console, "Already running.")
    for server, address in done.addresses.items():
        _say(console, f"{server:<10}{redact_text(address)}")
    _say(console, f"Data and logs: {folder.path}. Addresses with passwords: tapeline status --json")


def down(data: DataOption = None) -> None:
    """Stop the servers that `tapeline up` started; exit code 0 also when none runs."""
    folder, console = data_folder(data), Console()
    with ConsoleProgress(console) as progress:
        stopped = embedded.down(folder, progress)
    _say(console, f"Stopped {', '.join(sorted(stopped))}." if stopped else f"Nothing runs in {folder.path}.")


def status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show every server's condition, address, process and memory; exit code 1 unless all that were started are ready."""
    folder = data_folder(data)
    servers = embedded.status(folder)
    if as_json:
        typer.echo(json.dumps({"data": str(folder.path), "servers": [asdict(server) for server in servers]}, indent=2))
    else:
        _print_status(Console(), folder, servers)
    if any(server.condition not in ("ready", "stopped") for server in servers) or not any(server.pid for server in servers):
        raise typer.Exit(1)


def doctor(data: DataOption = None) -> None:
    """Look for what could keep the servers from working here; exit code 1 when something does."""
    console, failed = Console(), False
    for finding in embedded.examine(data_folder(data)):
        failed |= finding.verdict == "fail"
        advice = f" → {finding.advice}" if finding.advice else ""
        style = _VERDICT_STYLE[finding.verdict]
        console.print(f"[{style}]{finding.verdict:<5}[/]", end="", highlight=False)
        _say(console, f"{finding.subject}: {finding.found}{advice}")
    if failed:
        raise typer.Exit(1)


def _print_status(console: Console, folder: DataFolder, servers: list[ServerStatus]) -> None:
    for server in servers:
        style = _CONDITION_STYLE[server.condition]
        console.print(f"{server.server:<10}[{style}]{server.condition}[/]", end="", highlight=False)
        room = " " * (10 - len(server.condition))
        process = f"{room}{redact_text(server.address or '')}  process {server.pid}  {server.memory // 2**20} MiB"
        _say(console, process if server.pid else "")
    for server in servers:
        if server.condition in ("not ready", "ended"):
            _say(console, f"{server.server} {server.detail or 'ended unasked'}; see {folder.log(server.server)}")
    _say(console, f"Data and logs: {folder.path}")


def _say(console: Console, text: str) -> None:
    """Print text as it is, however long."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _ports(given: list[str]) -> dict[str, int]:
    """Ports by name from `NAME=N` words."""
    ports = {}
    for word in given:
        name, _, number = word.partition("=")
        if not (name and number.isascii() and number.isdigit() and 0 < int(number) < 65536):
            raise typer.BadParameter(f"{word!r} is not NAME=N with N between 1 and 65535", param_hint="--port")
        ports[name] = int(number)
    return ports
