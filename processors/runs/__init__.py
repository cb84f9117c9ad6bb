"""Candles of whole batches without a Python object for each record, compiled or in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

from processors.built import compiled_module
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


def compiled_folder() -> MakeFolder | None:
    """The compiled folder; None where it was not built."""
    module = compiled_module("processors.runs.compiled")
    return None if module is None else cast("MakeFolder", module.Folder)


@cache
def tell_that_folding_is_plain(reason: str) -> None:
    """Log it, once for each reason."""
    log.info("records are folded in plain Python, not compiled", reason=reason)
