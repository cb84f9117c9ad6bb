"""Options that most commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from runtime.settings import CONFIG_VARIABLE, Given, Settings, load
from tapeline import embedded

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", envvar=CONFIG_VARIABLE, help="Settings file (YAML)."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, for example kafka.bootstrap=host:9092; may be repeated."),
]

_KEYS = {"kafka": "kafka.bootstrap", "registry": "registry.url", "postgres": "postgres.dsn"}
"""The setting that says where a server is."""


def read_settings(config: Path | None, overrides: list[str] | None, *, quiet: bool = False) -> Settings:
    """Settings of a command. Servers that `tapeline up` started in the default data folder are found by themselves.

    They stand in for the built-in addresses only: what the file, the environment or the command line says comes before them.
    Those in use are named on standard error unless `quiet`.
    Raises ConfigurationError, and EmbeddedError when the folder's state is damaged.
    """
    running = {server: address for server, address in embedded.addresses(embedded.data_folder()).items() if server in _KEYS}
    found = [Given(tuple(_KEYS[server].split(".")), address, "`tapeline up`") for server, address in running.items()]
    settings = load(config, overrides=overrides or [], found=found)
    if not quiet and (used := servers_in_use(settings, running)):
        typer.echo(f"Using servers that `tapeline up` started: {', '.join(used)}.", err=True)
    return settings


def servers_in_use(settings: Settings, running: Mapping[str, str]) -> list[str]:
    """Those of the running servers that the settings lead to."""
    wanted = {
        "kafka": settings.kafka.bootstrap,
        "registry": settings.registry.url,
        "postgres": settings.postgres.dsn.get_secret_value(),
    }
    return sorted(server for server, address in running.items() if wanted[server] == address)
