"""Where settings come from: a YAML file, the environment, `--set` options. Each yields its values with their origin.

A value is a leaf of the tree: a scalar or a whole list. Nothing is known here of which settings exist.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import ConfigurationError, Problem
from runtime.settings.interpolation import interpolate

__all__ = ["PREFIX", "Given", "read_environment", "read_file", "read_overrides", "read_yaml"]

PREFIX = "TAPELINE__"
"""Beginning of the environment variables that are settings; `__` also separates the names in a key."""

_DEEPEST = 20
"""Deeper than any setting; a YAML alias that contains itself has no end."""


@dataclass(frozen=True, slots=True)
class Given:
    """One value and its origin."""

    path: tuple[str, ...]
    value: Any
    origin: str
    written: str = ""
    """The text of a scalar as it stands in the source, before interpolation."""


def read_file(path: Path, environ: Mapping[str, str]) -> list[Given]:
    """Read a YAML file; raises ConfigurationError when it cannot be read or is not a settings file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(Problem("", f"the file {path} cannot be read: {error.strerror}")) from None
    except UnicodeDecodeError:
        raise ConfigurationError(Problem("", f"the file {path} is not UTF-8 text")) from None
    return read_yaml(text, str(path), environ)


def read_yaml(text: str, place: str, environ: Mapping[str, str]) -> list[Given]:
    """Read YAML text; `place` stands for it in messages."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        return [] if root is None else list(_Document(loader, place, environ).leaves(root, ()))
    except yaml.MarkedYAMLError as error:
        # The text of the error itself would quote the line, and with it a secret.
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigurationError(Problem("", f"{place}{line} is not valid YAML: {error.problem}")) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(Problem("", f"{place} is not valid YAML: {error}")) from None


def read_environment(environ: Mapping[str, str]) -> list[Given]:
    """Read every variable that begins with the prefix: `TAPELINE__KAFKA__BOOTSTRAP` is `kafka.bootstrap`."""
    return [
        Given(_path(name.removeprefix(PREFIX).lower().split("__"), name), environ[name], name, environ[name])
        for name in sorted(environ)
        if name.startswith(PREFIX)
    ]


def read_overrides(overrides: Iterable[str]) -> list[Given]:
    """Read `key=value` texts; of two with one key the later one counts."""
    return [_override(text) for text in overrides]


def _override(text: str) -> Given:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(Problem("", f"--set {text} is not of the form key=value"))
    return Given(_path(key.strip().split("."), f"--set {key}"), value, "--set", value)


def _path(names: list[str], source: str) -> tuple[str, ...]:
    if not all(names):
        raise ConfigurationError(Problem("", f"{source} does not name a setting: a part of the key is empty"))
    return tuple(names)


@dataclass(frozen=True, slots=True)
class _Document:
    """The walk over one YAML document, by nodes, as only these know their lines."""

    loader: yaml.SafeLoader
    place: str
    environ: Mapping[str, str]
    seen: dict[int, dict[str, yaml.Node]] = field(default_factory=dict)
    """The items of the mappings walked so far, by the identity of their nodes."""

    def leaves(self, node: yaml.Node, path: tuple[str, ...]) -> Iterator[Given]:
        if len(path) > _DEEPEST:
            raise self._refusal(node, path[:3], "is nested too deeply")
        if isinstance(node, yaml.MappingNode) and node.value:
            for name, child in self._items(node, path).items():
                yield from self.leaves(child, (*path, name))
        elif path:
            written = node.value if isinstance(node, yaml.ScalarNode) else ""
            yield Given(path, self._value(node, path), self._origin(node), written)
        elif not (isinstance(node, yaml.MappingNode) or node.value in ("", "~", "null")):
            raise self._refusal(node, path, "settings are a mapping of sections")

    def _items(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, yaml.Node]:
        if id(node) in self.seen:  # an alias leads to a node again, whose `<<` is then resolved already
            return self.seen[id(node)]
        self._check_names([key for key, _ in node.value], path)
        self.loader.flatten_mapping(node)  # puts what `<<` brings in before the mapping's own keys
        items = self.seen[id(node)] = {key.value: child for key, child in node.value}
        return items

    def _check_names(self, keys: list[yaml.Node], path: tuple[str, ...]) -> None:
        seen = set()
        for key in keys:
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                raise self._refusal(key, path, "a name is expected before the colon")
            if key.value in seen:
                raise self._refusal(key, (*path, key.value), "is given more than once")
            seen.add(key.value)

    def _value(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        if len(path) > _DEEPEST:
            raise self._refusal(node, path[:3], "is nested too deeply")
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, str(index))) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return {name: self._value(child, (*path, name)) for name, child in self._items(node, path).items()}
        value = self.loader.construct_object(node)
        if not isinstance(value, str):
            return value
        try:
            return interpolate(value, self.environ)
        except ValueError as error:
            raise self._refusal(node, path, str(error)) from None

    def _origin(self, node: yaml.Node) -> str:
        return f"{self.place}:{node.start_mark.line + 1}"

    def _refusal(self, node: yaml.Node, path: tuple[str, ...], text: str) -> ConfigurationError:
        return ConfigurationError(Problem(".".join(path), text, origin=self._origin(node)))
