"""What a fold tells between two commits: where it comes from compiled code without a Python object for each record."""

from __future__ import annotations

from typing import cast

from processors.built import compiled_module
from processors.outbox import plain
from processors.outbox.protocol import Outbox


def open_outbox(*, compiled: bool = True) -> Outbox:
    """An empty outbox; the compiled one, which compiled folders write to, where it is wanted and was built."""
    module = compiled_module("processors.outbox.compiled") if compiled else None
    return cast("Outbox", module.Outbox()) if module else plain.Outbox()
