"""The formats of recordings, one file each.

Each module has `recognises(line)`: whether a file with this first line is of the format, and `read(lines)`: its items. Line
ends are stripped and empty lines left out before. A line that does not fit becomes `Unreadable`; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

from ingest.recorded import Item


class Format(Protocol):
    """What a module of this folder offers."""

    def recognises(self, line: bytes) -> bool:
        """Whether a recording that begins with this line is of the format."""

    def read(self, lines: Iterable[bytes]) -> Iterator[Item]:
        """The items of a recording."""


def names() -> list[str]:
    """The formats that exist, sorted."""
    return sorted(module.name for module in iter_modules(__path__))


def recognise(line: bytes) -> Format | None:
    """The format of a recording by its first line, None when it is none of ours."""
    formats = (cast("Format", import_module(f"{__name__}.{name}")) for name in names())
    return next((format_ for format_ in formats if format_.recognises(line)), None)
