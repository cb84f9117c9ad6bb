"""Values of many positions at once, exact: by compiled code, or by plain numpy with the same results."""

from __future__ import annotations

from typing import cast

from processors.built import compiled_module
from processors.holdings import plain
from processors.holdings.layout import Holdings
from processors.holdings.protocol import Arithmetic


def open_holdings(*, compiled: bool = True) -> Holdings:
    """Holdings without any rows. Without `compiled`, or where it was not built, they are weighed by the plain code."""
    return Holdings((compiled_arithmetic() if compiled else None) or plain)


def compiled_arithmetic() -> Arithmetic | None:
    """The compiled code; None where it was not built."""
    return cast("Arithmetic | None", compiled_module("processors.holdings.compiled"))
