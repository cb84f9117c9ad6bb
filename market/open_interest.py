"""Open interest of derivatives, as a venue states it."""

from __future__ import annotations

from typing import NamedTuple


class OpenInterest(NamedTuple):
    """How much of a contract is held open, by one message of a venue.

    `open_interest` is in the unit in which the venue tells the sizes of the instrument's trades, base currency or contracts,
    at scale 12; `notional` is the same in money, at scale 24, None where the venue does not give it. `channel` is the venue's
    name for the message.
    """

    instrument: str
    channel: str
    open_interest: int
    notional: int | None
    exchange_time: int | None
    received_at: int
    published_at: int | None = None
