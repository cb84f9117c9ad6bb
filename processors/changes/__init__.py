"""Price changes of whole batches without a Python object for each record, compiled; in plain Python record by record."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from processors.built import compiled_module
from processors.changes import plain
from processors.changes.protocol import ChangeFolder, Telling
from processors.runs import tell_that_folding_is_plain
from processors.runs.protocol import Contract, Other

MakeFolder = Callable[[Contract, Other, Telling], ChangeFolder]


def open_folder(contract: Contract, other: Other, telling: Telling, *, compiled: bool = True) -> ChangeFolder:
    """A folder for one partition that hands to `other` what it does not take in.

    Without `compiled`, or where that folder was not built, it is the plain one; the log tells so once.
    """
    make = compiled_folder() if compiled else None
    if make is None:
        tell_that_folding_is_plain("not built" if compiled else "switched off")
        return plain.Folder(other)
    return make(contract, other, telling)


def compiled_folder() -> MakeFolder | None:
    """The compiled folder; None where it was not built."""
    module = compiled_module("processors.changes.compiled")
    return None if module is None else cast("MakeFolder", module.Folder)
