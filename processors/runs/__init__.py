"""Sums of records that do nothing but merge into open candles (`market.run`), compiled or in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from processors.runs import plain
from processors.runs.protocol import Contract, Other, RunFolder
from runtime.logs import get_logger

log = get_logger(__name__)

MakeFolder = Callable[[Contract, Other], RunFolder]


def open_folder(contract: Contract, other: Other, *, compiled: bool = True) -> RunFolder:
    """A folder for one partition that hands to `other` what belongs to no run.

    Without `compiled`, or where that folder was not built, it is the plain one; the log tells so once.
    """
    make = compiled_folder() if compiled else None
    if make is None:
        _tell_that_runs_are_plain("not built" if compiled else "switched off")
        return plain.Folder(contract, other)
    return make(contract, other)


@cache
def compiled_folder() -> MakeFolder | None:
    """The compiled folder; None where it was not built."""
    try:
        found: MakeFolder = import_module("processors.runs.compiled").Folder
    except ImportError:
        return None
    return found


@cache
def _tell_that_runs_are_plain(reason: str) -> None:
    log.info("records are folded in plain Python, not compiled", reason=reason)
