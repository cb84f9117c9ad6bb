"""The settings as a list to read: every key with its type, default and meaning, taken from the models themselves."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeGuard, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from runtime.redaction import redact_text
from runtime.settings.base import Section
from runtime.settings.root import Settings
from runtime.settings.sources import PREFIX

__all__ = ["PLACEHOLDER", "Row", "describe", "holds_secret", "names_at"]

PLACEHOLDER = "NAME"
"""Stands in a key for a name of the operator's choice."""

_TYPES: Mapping[Any, str] = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    SecretStr: "secret",
    Path: "path",
}


class Row(NamedTuple):
    """One setting."""

    key: str
    type: str
    default: str
    description: str

    @property
    def variable(self) -> str:
        """The environment variable that gives this setting."""
        return PREFIX + self.key.upper().replace(".", "__")


def describe(section: type[Section] = Settings, prefix: str = "") -> list[Row]:
    """List every setting below a section in the order of its fields."""
    return [row for name, field in section.model_fields.items() for row in _rows(f"{prefix}{name}", field)]


def holds_secret(path: tuple[str, ...]) -> bool:
    """Whether the setting at this path is declared as a secret."""
    patterns = (row.key.split(".") for row in describe() if _TYPES[SecretStr] in row.type)
    return any(
        len(pattern) == len(path) and all(part in (name, PLACEHOLDER) for part, name in zip(pattern, path, strict=True))
        for pattern in patterns
    )


def names_at(path: tuple[str, ...]) -> list[str]:
    """Names that may stand directly below this path; none when the path leads nowhere or anything may stand there."""
    section: Any = Settings
    for name in path:
        if _is_section(section):
            section = section.model_fields[name].annotation if name in section.model_fields else None
        else:
            section = _named(section)
    return list(section.model_fields) if _is_section(section) else []


def _rows(key: str, field: FieldInfo) -> Iterator[Row]:
    annotation: Any = field.annotation
    if _is_section(annotation):
        yield from describe(annotation, f"{key}.")
    elif named := _named(annotation):
        yield from describe(named, f"{key}.{PLACEHOLDER}.")
    else:
        yield Row(key, _type_text(annotation), _default_text(field), field.description or "")


def _is_section(annotation: Any) -> TypeGuard[type[Section]]:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _named(annotation: Any) -> type[Section] | None:
    """Return the section that a mapping of free names holds."""
    arguments = get_args(annotation)
    return arguments[1] if get_origin(annotation) is dict and _is_section(arguments[1]) else None


def _type_text(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_text(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " or ".join(_type_text(part) for part in arguments if part is not NoneType) + ", or nothing"
    if origin is tuple:
        return "list"
    if origin is dict:
        return "mapping"
    return _TYPES.get(annotation) or str(annotation.__name__).lower()


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, SecretStr):
        return redact_text(default.get_secret_value())
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return "" if default in (None, {}) else str(default)
