"""The taker's side, by the word a venue has for it."""

from __future__ import annotations

from collections.abc import Mapping

from market.errors import DataValidationError
from market.trade import Side

WORDS: Mapping[str, Side] = {"buy": "buy", "sell": "sell"}


def side_of(word: str, words: Mapping[str, Side] = WORDS) -> Side:
    """Side of a word. Raises DataValidationError (`unknown_side`)."""
    side = words.get(word)
    if side is None:
        raise DataValidationError("unknown_side", f"side: {word!r:.40} is no side", field="side")
    return side
