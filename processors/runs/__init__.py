"""Candles of whole batches without a Python object for each record, compiled or in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from processors.runs import plain
from processors.runs.protocol import Contract, Keeping, Other, SeriesFolder
from runtime.logs import get_logger

log = get_logger(__name__)

MakeFolder = Callable[[Contract, Other, Keeping | None], SeriesFolder]


def open_folder(contract: Contract, other: Other, keeping: Keeping | None = None, *, compiled: bool = True) -> SeriesFolder:
    """A folder for one partition that hands to `other` what belongs to no run. The compiled one keeps series, given `keeping`.

    Without `compiled`, or where that folder was not built, it is the plain one; the log tells so once.
    """
    make = compiled_folder() if compiled else None
    if make is None:
        tell_that_folding_is_plain("not built" if compiled else "switched off")
        return plain.Folder(contract, other)
    return make(contract, other, keeping)


@cache
def compiled_folder() -> MakeFolder | None:
    """The compiled folder; None where it was not built."""
    try:
        found: MakeFolder = import_module("processors.runs.compiled").Folder
    except ImportError:
        return None
    return found


@cache
def tell_that_folding_is_plain(reason: str) -> None:
    """Log it, once for each reason."""
    log.info("records are folded in plain Python, not compiled", reason=reason)
