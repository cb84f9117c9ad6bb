"""What is remembered of trade ids, as a part of other states."""

from __future__ import annotations

from typing import Any

from market.seen_trades import SeenTrades
from processors.states.form import RANGE, array

SEEN = {"last_id": "long", "floor_id": "long", "holes": array(RANGE), "hashes": array("long")}
"""Its fields and their Avro types."""


def seen_fields(seen: SeenTrades) -> dict[str, Any]:
    """The values of its fields."""
    return {
        "last_id": seen.last,
        "floor_id": seen.floor,
        "holes": [{"first": first, "last": last} for first, last in seen.holes],
        "hashes": seen.hashes,
    }


def seen_from(values: dict[str, Any]) -> SeenTrades:
    """It again, from the values of a state that has its fields."""
    holes = [(hole["first"], hole["last"]) for hole in values["holes"]]
    return SeenTrades(values["last_id"], values["floor_id"], holes, values["hashes"])
