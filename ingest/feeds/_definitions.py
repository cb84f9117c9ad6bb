"""Rows of the venues' lists of instruments as definitions, each row read by itself: one that is wrong spoils no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from ingest.decoding import decode
from ingest.feeds._records import amount_of, micros_of_millis
from ingest.rest_venue import Defined, RefusedRow
from market.decimals import SCALE, parse_decimal
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition, check_definition, parts_of

_Row = TypeVar("_Row")
_MOST_PLACES = SCALE


def read_definitions(
    rows: Iterable[msgspec.Raw],
    decoder: msgspec.json.Decoder[_Row],
    received_at: int,
    instrument_of: Callable[[_Row], str],
    define: Callable[[str, _Row, int], InstrumentDefinition],
) -> Iterator[Defined]:
    """The definitions of rows that came at a time, by their instruments; `define` raises DataValidationError for wrong rows.

    Rows of which `instrument_of` raises it are left out: they are of nothing that has an instrument here, such as a symbol
    outside our alphabet, so no topic has anything of them.
    """
    for row in rows:
        try:
            listing = decode(decoder, row)
            instrument = _instrument_or_none(instrument_of, listing)
            if instrument is not None:
                yield define(instrument, listing, received_at)
        except DataValidationError as error:
            yield RefusedRow(bytes(row), error)


def _instrument_or_none(instrument_of: Callable[[_Row], str], row: _Row) -> str | None:
    try:
        return instrument_of(row)
    except DataValidationError:
        return None


def define(
    instrument: str,
    symbol: str,
    received_at: int,
    *,
    settle: str | None = None,
    tick: str | int | None = None,
    lot: str | int | None = None,
    min_size: str | None = None,
    min_notional: str | None = None,
    multiplier: int | None = None,
    multiplier_currency: str | None = None,
    expires_at: int | None = None,
    status: str | None = None,
    is_trading: bool | None = None,
) -> InstrumentDefinition:
    """A definition of the venue's texts, where a step of zero or of no text is not there; unscaled steps are taken as they are.

    Raises DataValidationError naming the field at fault.
    """
    kind, base, quote = parts_of(instrument)
    definition = InstrumentDefinition(
        instrument=instrument,
        venue_symbol=symbol,
        instrument_type=kind,
        base_currency=base,
        quote_currency=quote,
        settle_currency=settle or None,
        tick_size=_step(tick, "tick_size"),
        lot_size=_step(lot, "lot_size"),
        min_size=parse_decimal(min_size, field="min_size") or None if min_size else None,
        min_notional=amount_of(min_notional, "min_notional") or None if min_notional else None,
        multiplier=multiplier,
        multiplier_currency=multiplier_currency or None,
        expires_at=expires_at,
        calendar=None,  # all these venues trade around the clock
        status=status,
        is_trading=is_trading,
        received_at=received_at,
    )
    return check_definition(definition)


def step_of_places(places: int | str, field: str, times: int = 1) -> int:
    """A step in the last of so many decimal places, or a multiple of it: 0.5 of one place five times. Unscaled.

    Raises DataValidationError.
    """
    number = whole_of(places, field)
    if number > _MOST_PLACES:
        raise DataValidationError("too_precise", f"{field}: {number} decimal places are more than {_MOST_PLACES}", field=field)
    return int(times * 10 ** (SCALE - number))


def whole_of(text: int | str, field: str) -> int:
    """A whole number that is not negative and not long. Raises DataValidationError."""
    word = str(text)
    if not (word.isascii() and word.isdecimal() and len(word) <= 9):
        raise DataValidationError("wrong_type", f"{field}: {word!r:.40} is no whole number", field=field)
    return int(word)


def time_or_none(millis: str, field: str) -> int | None:
    """Microseconds of a time in milliseconds; of none and of zero None."""
    return micros_of_millis(millis, field) or None if millis else None


def _step(step: str | int | None, field: str) -> int | None:
    if isinstance(step, int):
        return step
    return parse_decimal(step, field=field) or None if step else None
