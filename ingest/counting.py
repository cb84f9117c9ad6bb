"""Counting what comes with every frame."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

_T = TypeVar("_T")


class SwiftCounter(Counter[_T]):
    """A Counter that counts in half the time; deleting what it does not hold raises KeyError.

    `Counter` has a `__delitem__` in Python, for whose sake its items are set by way of Python, too.
    """

    __delitem__ = dict.__delitem__  # type: ignore[assignment]  # it takes any key at run time
