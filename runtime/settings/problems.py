"""From a validation error to what the operator reads: the key, what is wrong, the value, its origin, what may be meant."""

from collections.abc import Mapping
from difflib import get_close_matches

from pydantic_core import ErrorDetails

from runtime.errors import Problem
from runtime.redaction import MASK, is_secret, redact_text
from runtime.settings.reference import describe, holds_secret, names_at
from runtime.settings.sources import Given

__all__ = ["explain", "shown"]

_LONGEST_SHOWN = 80
_TEXTS = {
    "missing": "is required",
    "extra_forbidden": "is not a setting",
    "model_type": "is a section: give its settings one by one",
    "dict_type": "is a mapping: give its entries one by one",
}


def explain(error: ErrorDetails, given: Mapping[tuple[str, ...], Given]) -> Problem:
    """Describe one error of pydantic's, by the values that were given."""
    path = tuple(str(part) for part in error["loc"] if part != "[key]")
    key = ".".join(path)
    unknown = error["type"] == "extra_forbidden"
    return Problem(
        key,
        _text(error),
        value="" if unknown or path not in given else shown(path, given[path].written),
        origin=_origin(path, given),
        hint=_suggestion(path) if unknown else "",
    )


def shown(path: tuple[str, ...], written: str) -> str:
    """Return the value as it may stand in a message."""
    if not written:
        return ""
    if holds_secret(path) or is_secret(".".join(path)):
        return MASK
    text = repr(redact_text(written))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _text(error: ErrorDetails) -> str:
    text = _TEXTS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    return text.replace("Input should be", "must be").replace("String should", "must")


def _origin(path: tuple[str, ...], given: Mapping[tuple[str, ...], Given]) -> str:
    """Name where a value came from: for a list item its list, for a section its values, for a missing one its neighbours."""
    above = [given[path[:length]] for length in range(len(path), 0, -1) if path[:length] in given]
    if above and above[0].value is not None:
        return above[0].origin
    for length in range(len(path), 0, -1):
        below = [one.origin for one in given.values() if one.path[:length] == path[:length]]
        if below:
            return ", ".join(dict.fromkeys(below[:3]))
    return ""


def _suggestion(path: tuple[str, ...]) -> str:
    """Propose the neighbour with nearly this name, else a setting of this name in another section."""
    close = get_close_matches(path[-1], names_at(path[:-1]), n=1)
    if close:
        return f"did you mean {'.'.join((*path[:-1], close[0]))}?"
    elsewhere = [row.key for row in describe() if row.key.split(".")[-1] == path[-1]]
    return f"did you mean {' or '.join(elsewhere[:3])}?" if elsewhere else ""
