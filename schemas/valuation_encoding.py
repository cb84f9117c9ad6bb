"""Avro bodies of valuations and their lines, written by hand: the bytes of the codec's own writer, much sooner.

The totals of all portfolios are written whenever prices move. Their body is in three parts, since what says only when it was
made lies in its midst: two valuations say the same if their first and last parts are equal. The fields are those of
`valuation.avsc` and `valuation_line.avsc`, in their order; a test compares both writers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from market.decimals import AMOUNT_PRECISION, PRECISION
from market.valuation import LineState
from market.valuation_record import UsedRate, Valuation, ValuationLine
from schemas.portfolio_encoding import encode_limits
from schemas.primitives import LENGTHS, encode_array, encode_decimal, encode_long, encode_maybe_long, encode_text

_FIGURE, _AMOUNT = 10**PRECISION, 10**AMOUNT_PRECISION
_STATES = {one: LENGTHS[number] for number, one in enumerate(LineState)}
_FIGURES = slice(Valuation._fields.index("net_exposure"), Valuation._fields.index("day_fx_effect") + 1)


class EncodedValuation(NamedTuple):
    """A body: the fields before `board`, those from there to `as_of`, and those after it."""

    figures: bytes
    moment: bytes
    rest: bytes

    @property
    def content(self) -> bytes:
        """All but the moment."""
        return self.figures + self.rest


def encode_valuation(record: Valuation) -> bytes:
    """The body of a valuation. Raises DataValidationError when a value does not fit its field."""
    return b"".join(encode_parts(record))


def encode_parts(record: Valuation) -> EncodedValuation:
    """The parts of the body of a valuation. Raises DataValidationError when a value does not fit its field."""
    amounts: Any = record[_FIGURES]
    figures = b"".join(
        (
            encode_names(record.portfolio_id, record.base_currency, record.position_version),
            *[_maybe_amount(figure) for figure in amounts],
            *[encode_long(count) for count in (record.lines, record.valued, record.stale)],
            encode_decimal(record.coverage_percent, _FIGURE),
            encode_maybe_long(record.oldest_price_at),
            _texts(record.left_out),
            _texts(record.without_rate),
            encode_rates(record.rates),
        )
    )
    moment = encode_moment(record.board, record.generation, record.sequence, record.valued_at, record.replies_offset)
    return EncodedValuation(
        figures, moment + encode_maybe_long(record.as_of), encode_maybe_long(record.day_end_at) + encode_limits(record.limits)
    )


def encode_line(line: ValuationLine) -> bytes:
    """The body of a line. Raises DataValidationError when a value does not fit its field."""
    return b"".join(
        (
            encode_names(line.portfolio_id, line.position_id, line.position_version),
            encode_text(line.instrument),
            encode_text(line.currency),
            encode_decimal(line.quantity, _FIGURE),
            encode_decimal(line.multiplier, _FIGURE),
            encode_decimal(line.cost, _AMOUNT),
            _STATES[line.state],
            encode_text(line.reason),
            _maybe_figure(line.price),
            _maybe_text(line.price_choice),
            _maybe_text(line.price_source),
            encode_maybe_long(line.price_at),
            _maybe_figure(line.reference_price),
            _maybe_text(line.reference_kind),
            b"\x00" if line.rate is None else b"\x02" + _rate(line.rate),
            _maybe_amount(line.value),
            _maybe_amount(line.unrealised_pnl),
            _maybe_amount(line.base_value),
            _maybe_amount(line.base_unrealised_pnl),
            encode_long(line.generation),
            encode_long(line.sequence),
            encode_long(line.valued_at),
        )
    )


def encode_names(portfolio_id: str, other: str, version: int) -> bytes:
    """Whose figures they are, which stands before them: of totals with their currency, of a line with its position."""
    return encode_text(portfolio_id) + encode_text(other) + encode_long(version)


def encode_rates(rates: Iterable[UsedRate]) -> bytes:
    """Rates used. Raises DataValidationError when a value does not fit its field."""
    return encode_array([_rate(rate) for rate in rates])


def encode_moment(board: Iterable[int], generation: int, sequence: int, valued_at: int, replies_offset: int | None) -> bytes:
    """What says when and of what a valuation was made, but for `as_of`."""
    return b"".join(
        (
            encode_array([encode_long(offset) for offset in board]),
            encode_long(generation),
            encode_long(sequence),
            encode_long(valued_at),
            encode_maybe_long(replies_offset),
        )
    )


def _rate(rate: UsedRate) -> bytes:
    return b"".join(
        (
            encode_text(rate.currency),
            encode_decimal(rate.rate, _AMOUNT),
            encode_maybe_long(rate.as_of),
            _texts(rate.sources),
            b"\x01" if rate.is_stale else b"\x00",
        )
    )


def _texts(texts: Iterable[str]) -> bytes:
    return encode_array([encode_text(text) for text in texts])


def _maybe_amount(figure: int | None) -> bytes:
    return b"\x00" if figure is None else b"\x02" + encode_decimal(figure, _AMOUNT)


def _maybe_figure(figure: int | None) -> bytes:
    return b"\x00" if figure is None else b"\x02" + encode_decimal(figure, _FIGURE)


def _maybe_text(text: str | None) -> bytes:
    return b"\x00" if text is None else b"\x02" + encode_text(text)
