"""Options that most commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

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

_KEYS: Mapping[str, tuple[str, ...]] = {
    "kafka": ("kafka.bootstrap",),
    "registry": ("registry.url",),
    "postgres": ("postgres.dsn",),
    "redis": ("redis.url",),
    "influxdb": ("influxdb.url", "influxdb.org", "influxdb.token"),
}
"""The settings that say where a server is, and who we are there."""


def read_settings(config: Path | None, overrides: list[str] | None, *, quiet: bool = False) -> Settings:
    """Settings of a command. Servers that `tapeline up` started in the default data folder are found by themselves.

    They stand in for the built-in addresses only: what the file, the environment or the command line says comes before them.
    Those in use are named on standard error unless `quiet`.
    Raises ConfigurationError, and EmbeddedError when the folder's state is damaged.
    """
    running = {server: address for server, address in embedded.addresses(embedded.data_folder()).items() if server in _KEYS}
    found = [
        Given(tuple(key.split(".")), value, "`tapeline up`")
        for server, address in running.items()
        for key, value in zip(_KEYS[server], parts_of(server, address), strict=True)
    ]
    settings = load(config, overrides=overrides or [], found=found)
    if not quiet and (used := servers_in_use(settings, running)):
        typer.echo(f"Using servers that `tapeline up` started: {', '.join(used)}.", err=True)
    return settings


def parts_of(server: str, address: str) -> tuple[str, ...]:
    """What a server's settings hold when it has this address: most have it whole, InfluxDB's has three parts."""
    if server != "influxdb":
        return (address,)
    parts = urlsplit(address)
    return (
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
        parts.username or "",
        unquote(parts.password or ""),
    )


def servers_in_use(settings: Settings, running: Mapping[str, str]) -> list[str]:
    """Those of the running servers that the settings lead to."""
    wanted = {
        "kafka": settings.kafka.bootstrap,
        "registry": settings.registry.url,
        "postgres": settings.postgres.dsn.get_secret_value(),
        "redis": settings.redis.url.get_secret_value(),
        "influxdb": settings.influxdb.url,
    }
    return sorted(server for server, address in running.items() if wanted[server] == parts_of(server, address)[0])
