"""What the libraries have in common: rows of Python values, and answers of many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from numbers import Integral
from typing import Any, TypeVar

from ingest.feed import Parsed, Told
from ingest.feeds._cn_snapshots import Row, SnapshotReader, check_unit, quote_of
from market.decimals import parse_decimal
from market.errors import DataValidationError
from market.feed_status import FeedState
from market.quote import Quote
from schemas.records import Record

NO_PRICE = "suspended, or not traded yet: the library has no price of it"
_ABSENT = "the library's answer has nothing of it that can be read: not known, delisted, or left out"

Given = Mapping[str, Any]
"""A row of a library's: a dict, or a Series of pandas', which has the same methods."""

One = TypeVar("One")


def quote_or_refusal(channel: str, row: Row, received_at: int, max_skew: int) -> Quote:
    """The quote of a row. Raises DataValidationError, also of what is suspended (`suspended`, `wrong_unit`, …)."""
    if row.suspended:
        raise DataValidationError("suspended", f"{row.instrument}: {row.suspended}")
    quote = quote_of(channel, row, received_at, max_skew)
    check_unit(quote)
    return quote


def parsed(
    channel: str,
    rows: Iterable[One],
    name: Callable[[One], object],
    read: Callable[[One], Row],
    received_at: int,
    max_skew: int,
    asked: Iterable[str],
) -> Parsed:
    """The quotes of an answer; its faults begin with what `name` calls the row at fault.

    Of what is suspended it is told that it is STALE, of what was asked for and is not there that it is DOWN.
    """
    reader = SnapshotReader(channel, max_skew, trades=False)
    records: list[Record] = []
    told: list[Told] = []
    faults: list[DataValidationError] = []
    heard = set()
    for one in rows:
        try:
            row = read(one)
            part = reader.read(row, received_at)
        except DataValidationError as error:
            faults.append(_named(name(one), error))
            continue
        heard.add(row.instrument)
        records += part.records
        told += part.told
        faults += [_named(row.instrument, error) for error in part.faults]
    told += [Told(instrument, FeedState.DOWN, _ABSENT) for instrument in asked if instrument not in heard]
    return Parsed(channel, records, told, faults)


def _named(name: object, error: DataValidationError) -> DataValidationError:
    return DataValidationError(error.reason, f"{name!s:.40}: {error}", field=error.field)


def records_of(table: Any) -> list[Given]:
    """The rows of a table: a DataFrame, or an iterable of records. Raises DataValidationError (`no_answer`)."""
    to_dict = getattr(table, "to_dict", None)
    found = to_dict("records") if callable(to_dict) else table
    if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
        raise DataValidationError("no_answer", f"a {type(table).__name__} is no table of quotes")
    return list(found)


def label(row: Any, *names: str) -> object:
    """What a row calls itself, by the first of these fields that it has."""
    get = getattr(row, "get", None)
    return next((row.get(name) for name in names if name in row), "a row") if callable(get) else f"{row!r:.40}"


def value(row: Given, name: str) -> Any:
    """What a row has in a field. Raises DataValidationError where it has no such field (`missing_field`)."""
    if not hasattr(row, "get"):
        raise DataValidationError("wrong_type", f"a {type(row).__name__} is no row of fields")
    if name not in row:
        raise DataValidationError("missing_field", f"{name}: the row has no such field", field=name)
    return row[name]


def text(row: Given, name: str) -> str:
    """A text of a row. Raises DataValidationError, also of a code that became a number and lost its zeros (`wrong_type`)."""
    found = value(row, name)
    if not isinstance(found, str):
        raise DataValidationError("wrong_type", f"{name}: {found!r:.40} is no text", field=name)
    return found


def figure(row: Given, name: str) -> str | None:
    """A figure of a row as decimal text; None where there is none: None, NaN, no text or dashes.

    A float is the shortest decimal that makes it. Raises DataValidationError.
    """
    found = value(row, name)
    if isinstance(found, str):
        return found.strip() if found.strip(" -") else None
    if found is None or (isinstance(found, float) and found != found):
        return None
    if isinstance(found, float):
        return float.__repr__(found)  # numpy's own names its type
    if isinstance(found, (Integral, Decimal)) and not isinstance(found, bool):
        return str(found) if isinstance(found, Decimal) else str(int(found))
    raise DataValidationError("wrong_type", f"{name}: {found!r:.40} is no figure", field=name)


def no_price(**prices: str | None) -> str | None:
    """The reason to tell where each of these prices is zero or not there; None where one is. Raises DataValidationError."""
    return None if any(price and parse_decimal(price, field=field) for field, price in prices.items()) else NO_PRICE
