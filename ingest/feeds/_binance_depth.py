"""Order books of Binance: the diff streams `depth`, `depth@100ms` and the like, and the snapshot asked for by REST.

A diff stream has no snapshot; the venue's rules for joining both are in `market.book_rules`. The snapshot does not name its
symbol: who asked knows it.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from ingest.decoding import decode
from ingest.feeds._levels import levels_of
from ingest.feeds._records import Maker
from market.book_rules import BookRules, by_previous, by_range
from market.depth import Depth, DepthKind

DEPTH_CHANNEL = re.compile(r"depth(@\d{1,4}ms)?", re.ASCII)

SPOT_BOOKS = BookRules(by_range, fetched=True)
FUTURES_BOOKS = BookRules(by_previous, fetched=True)

_Id = Annotated[int, msgspec.Meta(ge=0)]
_Rows = list[tuple[str, str]]


class DepthMessage(msgspec.Struct):
    """A diff; `pu` and `T` are of futures."""

    E: int
    s: str
    U: _Id
    u: _Id
    b: _Rows
    a: _Rows
    pu: int | None = None
    T: int | None = None


class _Snapshot(msgspec.Struct):
    last_update_id: _Id = msgspec.field(name="lastUpdateId")
    bids: _Rows
    asks: _Rows
    T: int | None = None


_SNAPSHOT = msgspec.json.Decoder(_Snapshot)


def delta_of(message: DepthMessage, instrument: str, received_at: int, max_skew: int) -> Depth:
    """The delta that a message is. Raises DataValidationError."""
    time = message.E if message.T is None else message.T
    bids, asks = levels_of(message.b, "bids"), levels_of(message.a, "asks")
    maker = Maker(instrument, received_at, max_skew)
    return maker.depth(DepthKind.DELTA, bids, asks, time * 1000, first=message.U, last=message.u, previous=message.pu)


def snapshot_of(answer: bytes, instrument: str, received_at: int, max_skew: int) -> Depth:
    """The book that a REST answer holds. Raises DataValidationError."""
    message = decode(_SNAPSHOT, answer)
    bids, asks = levels_of(message.bids, "bids"), levels_of(message.asks, "asks")
    time = None if message.T is None else message.T * 1000
    return Maker(instrument, received_at, max_skew).depth(DepthKind.SNAPSHOT, bids, asks, time, last=message.last_update_id)
