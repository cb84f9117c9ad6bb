"""Options that most commands share, and how they become settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from runtime.logs import get_logger
from runtime.settings import CONFIG_VARIABLE, Settings, load
from tapeline import embedded

log = get_logger(__name__)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", envvar=CONFIG_VARIABLE, help="Settings file (YAML)."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, for example kafka.bootstrap=host:9092; may be repeated."),
]

_STACK_VARIABLES = {
    "kafka": "TAPELINE__KAFKA__BOOTSTRAP",
    "registry": "TAPELINE__REGISTRY__URL",
    "postgres": "TAPELINE__POSTGRES__DSN",
}


def read_settings(config: Path | None, overrides: list[str] | None) -> Settings:
    """Settings of a command. Without a settings file, servers that `tapeline up` started are found by themselves.

    Raises ConfigurationError.
    """
    environ: Mapping[str, str] = os.environ
    if config is None:
        environ = {**stack_variables(), **os.environ}
    return load(config, environ=environ, overrides=overrides or [])


def stack_variables() -> dict[str, str]:
    """Environment variables that lead to the servers running in the default data folder; none when none runs."""
    found = {
        _STACK_VARIABLES[server.server]: server.address
        for server in embedded.status(embedded.data_folder(None))
        if server.address and server.server in _STACK_VARIABLES
    }
    if found:
        log.info("using the servers that `tapeline up` started", servers=sorted(found))
    return found
