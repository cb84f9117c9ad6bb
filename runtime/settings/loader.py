"""Puts the sources together: defaults, what the caller found, file, environment, command line, each over the one before."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runtime.errors import ConfigurationError, Problem
from runtime.settings.problems import explain
from runtime.settings.root import Settings
from runtime.settings.sources import Given, read_environment, read_file, read_overrides

__all__ = ["CONFIG_VARIABLE", "build", "load"]

CONFIG_VARIABLE = "TAPELINE_CONFIG"
"""Environment variable that names the settings file when the command line does not."""


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    found: Iterable[Given] = (),
) -> Settings:
    """Read the settings once, at the start of a command.

    Args:
        path: a YAML file; else the one that TAPELINE_CONFIG names; else none.
        environ: the environment; that of the process unless given.
        overrides: texts `key=value` from the command line.
        found: values that the caller found out and that hold where no source says otherwise.

    Raises:
        ConfigurationError: with every problem found.

    """
    environ = os.environ if environ is None else environ
    if path is None and environ.get(CONFIG_VARIABLE):
        path = Path(environ[CONFIG_VARIABLE])
    from_file = [] if path is None else read_file(path, environ)
    return build([*found, *from_file, *read_environment(environ), *read_overrides(overrides)])


def build(given: Iterable[Given]) -> Settings:
    """Make settings of given values, later ones over earlier ones."""
    by_path: dict[tuple[str, ...], Given] = {}
    tree: dict[str, Any] = {}
    for one in given:
        _put(tree, one, by_path)
        by_path[one.path] = one
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigurationError(*(explain(detail, by_path) for detail in error.errors())) from None


def _put(tree: dict[str, Any], one: Given, before: Mapping[tuple[str, ...], Given]) -> None:
    """Set one value in the tree; raises ConfigurationError when a value stands where its section should be."""
    for depth, name in enumerate(one.path[:-1], start=1):
        below = tree.setdefault(name, {})
        if below is None:
            below = tree[name] = {}
        if not isinstance(below, dict):
            section = one.path[:depth]
            text = f"is a section for {'.'.join(one.path)} (from {one.origin}), but has a value"
            raise ConfigurationError(Problem(".".join(section), text, origin=before[section].origin))
        tree = below
    tree[one.path[-1]] = one.value
