"""Values of many positions at once, exact: by compiled code, or by plain numpy with the same results."""

from __future__ import annotations

from typing import cast

from processors.built import compiled_module
from processors.holdings import plain
from processors.holdings.layout import Holdings
from processors.holdings.protocol import Weigh


def open_holdings(*, compiled: bool = True) -> Holdings:
    """Holdings without any rows. Without `compiled`, or where it was not built, they are weighed by the plain code."""
    built = compiled_weigh() if compiled else None
    return Holdings(built or plain.weigh)


def compiled_weigh() -> Weigh | None:
    """The compiled code; None where it was not built."""
    module = compiled_module("processors.holdings.compiled")
    return None if module is None else cast("Weigh", module.weigh)
