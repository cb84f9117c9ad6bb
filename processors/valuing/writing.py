"""Records of totals, by compiled code where that can do it, else one by one; both give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from market.errors import DataValidationError
from market.valuation_record import Stamp, Valuation, valuation_of
from processors.outputs import Message
from processors.valuing.sheets import Sheets, compiled_totals
from processors.valuing.valuer import Valuer
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.topics import VALUATIONS
from schemas.valuation_encoding import encode_moment, encode_parts


class Read(NamedTuple):
    """Next offsets of what valuations reflect: of the prices by partition in their order, of replies by partition."""

    board: tuple[int, ...]
    replies: Mapping[int, int]


Written = tuple[bytes, Message | None]
"""What a valuation says, without when it does, and its message; for one that does not fit its record why, and None."""


class Writer:
    """Makes the records of a valuer's totals."""

    def __init__(self, valuer: Valuer, codec: Codec, partitions: int, *, compiled: bool = True) -> None:
        self._valuer = valuer
        self._header = codec.header(VALUATIONS.name, Valuation)
        self._partitions = partitions
        arithmetic = compiled_totals() if compiled and valuer.is_compiled else None
        self._sheets = None if arithmetic is None else Sheets(arithmetic, self._partition_of)

    def forget(self, portfolio_id: str) -> None:
        """Let go of a portfolio."""
        if self._sheets is not None:
            self._sheets.forget(portfolio_id)

    def write(self, portfolio_ids: Sequence[str], stamp: Stamp, read: Read) -> list[Written]:
        """The totals of these portfolios as of the last `revalue`."""
        found: Sequence[tuple[bytes, Message] | None] = [None] * len(portfolio_ids)
        weighed = self._valuer.weighed()
        if self._sheets is not None and weighed is not None:
            held = list(map(self._valuer.held, portfolio_ids))
            moment = partial(_moment, stamp, read)
            found = self._sheets.write(held, weighed, self._valuer.rates, moment, self._header, self._valuer.latest)
        return [one or self._plain(name, stamp, read) for name, one in zip(portfolio_ids, found, strict=True)]

    def _plain(self, portfolio_id: str, stamp: Stamp, read: Read) -> Written:
        portfolio, partition = self._valuer.portfolios[portfolio_id], self._partition_of(portfolio_id)
        as_of = max(self._valuer.latest, portfolio.updated_at)
        record = valuation_of(portfolio, self._valuer.totals(portfolio_id), self._valuer.rates, read.board, stamp)._replace(
            replies_offset=read.replies.get(partition), as_of=as_of, day_end_at=portfolio.policy.day_end_after(as_of)
        )
        try:
            parts = encode_parts(record)
        except DataValidationError as error:
            return str(error).encode(), None
        message = Message(VALUATIONS.name, partition, portfolio_id.encode(), b"".join((self._header, *parts)))
        return parts.content, message

    def _partition_of(self, portfolio_id: str) -> int:
        return partition_of(portfolio_id, self._partitions)


def _moment(stamp: Stamp, read: Read, partition: int) -> bytes:
    return encode_moment(read.board, stamp.generation, stamp.sequence, stamp.valued_at, read.replies.get(partition))
