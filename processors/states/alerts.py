"""What is remembered of a portfolio for its alerts: peaks, limits that are breached, and its last valuation as it was read."""

from __future__ import annotations

from typing import NamedTuple

from market.limits import Watch
from market.portfolio_alert import Watched
from processors.states.form import AMOUNT, MAYBE_AMOUNT, MAYBE_LONG, array, define, encode, head, read, record
from schemas.portfolio_values import plain_limits, read_limits

WATCHED = define(
    "Watched",
    day=MAYBE_LONG,
    peak=MAYBE_AMOUNT,
    day_peak=MAYBE_AMOUNT,
    breached=array(record("Limit", kind="string", threshold=AMOUNT, clears_at=AMOUNT)),
    generation="long",
    sequence="long",
    last="bytes",
)


class Kept(NamedTuple):
    """The state of a portfolio; `last` is the value of its last valuation's record, of offset `applied_offset` or before."""

    applied_offset: int = -1
    watched: Watched = Watched()
    last: bytes = b""


def encode_kept(kept: Kept) -> bytes:
    """Bytes of a portfolio's state."""
    watch, generation, sequence = kept.watched
    values = watch._asdict() | {"breached": plain_limits(watch.breached.values())}
    body = encode(WATCHED, {**values, "generation": generation, "sequence": sequence, "last": kept.last})
    return head(kept.applied_offset) + body


def decode_kept(data: bytes | None) -> Kept:
    """State of a portfolio; the empty state of none."""
    if data is None:
        return Kept()
    offset, values = read(WATCHED, data)
    breached = {limit.kind: limit for limit in read_limits(values["breached"])}
    watch = Watch(values["day"], values["peak"], values["day_peak"], breached)
    return Kept(offset, Watched(watch, values["generation"], values["sequence"]), values["last"])
