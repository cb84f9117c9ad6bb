"""The building blocks of the settings models: the section and the kinds of values.

Every kind accepts its value as text too, because the environment, `--set` and `${NAME}` can only give text.
Durations are floats in seconds and their names end in `_seconds`.
"""

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

__all__ = [
    "Count",
    "HttpUrl",
    "Maybe",
    "Name",
    "Names",
    "Port",
    "ProxyUrl",
    "Seconds",
    "Section",
    "Text",
    "UserPath",
    "WebSocketUrl",
    "matching",
]

_T = TypeVar("_T")


class Section(BaseModel):
    """A group of settings: frozen, refusing unknown keys; a field's docstring is its description."""

    model_config = ConfigDict(
        frozen=True,
        defer_build=True,  # a command that only prints its help need not build two dozen validators
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_defaults(cls, given: Any) -> Any:
        """Take a section whose lines are all commented out (null in YAML) as an empty one."""
        return {} if given is None else given


def _none_if_empty(given: Any) -> Any:
    return None if given == "" else given


def _split(given: Any) -> Any:
    return [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"names {name!r} more than once")
    return names


def matching(pattern: str, meaning: str) -> AfterValidator:
    """Return a check that the whole text matches; the operator reads the meaning, not the pattern."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"must be {meaning}")
        return text

    return AfterValidator(check)


Maybe = Annotated[_T | None, BeforeValidator(_none_if_empty)]
"""A value that may be absent: null in YAML, empty in the environment."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Name = Annotated[str, matching(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", "of small letters, digits and single underscores")]
"""A name that an environment variable can spell: `__` separates the names in it."""

Names = Annotated[tuple[Text, ...], BeforeValidator(_split), AfterValidator(_unique)]
"""Distinct texts: a list in YAML, or one text separated by commas."""

HttpUrl = Annotated[str, matching(r"https?://[^\s/@]+(/[^\s@]*)?", "an http:// or https:// URL without credentials")]
_PROXY = re.compile(r"(https?|socks[45][ah]?)://[^\s/]+/?")


def _check_proxy(url: SecretStr) -> SecretStr:
    if not _PROXY.fullmatch(url.get_secret_value()):
        raise ValueError("must be the URL of a proxy, such as http://HOST:PORT or socks5://HOST:PORT")
    return url


ProxyUrl = Annotated[SecretStr, AfterValidator(_check_proxy)]
"""It may hold credentials, so it is not shown."""

WebSocketUrl = Annotated[str, matching(r"wss?://[^\s/@]+(/[^\s@]*)?", "a ws:// or wss:// URL without credentials")]

Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in which `~` stands for the user's home."""
