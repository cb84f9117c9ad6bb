"""Compiled modules, as far as they were built here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def compiled_module(name: str) -> ModuleType | None:
    """A compiled module by its full name; None where it was not built."""
    try:
        return import_module(name)
    except ImportError:
        return None
