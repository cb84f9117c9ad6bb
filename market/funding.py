"""Funding of perpetual contracts, as a venue states it."""

from __future__ import annotations

from typing import NamedTuple


class Funding(NamedTuple):
    """What one message of a venue says about a perpetual's funding; a field it does not give is None, never zero.

    `rate` is what long positions pay short ones at `next_funding_time`, as a fraction of the position's value (0.0001 is
    0.01 %) at scale 12, rounded half-even where a venue tells more places; below zero the short ones pay. Until that time
    venues let it move. Of a venue's history it is what was paid at `exchange_time`. `interval_seconds` lies between two
    payments; where funding accrues all the time (Deribit) the rate is told for so many seconds. Prices are unscaled at
    scale 12. `channel` is the venue's name for the message.
    """

    instrument: str
    channel: str
    rate: int
    next_funding_time: int | None
    interval_seconds: int | None
    mark_price: int | None
    index_price: int | None
    exchange_time: int | None
    received_at: int
    published_at: int | None = None
