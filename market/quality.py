"""What a single value of market data can be: price, size, figure, count, time, clock skew, id. Rules, and nothing else.

Each rule looks at one value and returns it unchanged, or raises DataValidationError naming the field and the reason. The
checks of whole records (`market.trade`, `market.stated`, `market.derived`, `market.feed_status`) are made of them. Where a
record enters and where it is read the same rules hold, so what passed once passes again.
"""

from __future__ import annotations

from market.decimals import PRECISION, fits
from market.errors import DataValidationError

MAX_CLOCK_SKEW = 5_000_000
"""How far, in microseconds, an exchange's clock may run ahead of ours before its time is not believed."""

LONGEST_ID = 200
"""Longest trade id in characters; venues' are below 40. Ids are kept in state and indices, so they must not grow at will."""

EARLIEST = 946_684_800_000_000
"""2000-01-01, the first time believed: milliseconds or seconds passed as microseconds fall before it."""

LATEST = 4_102_444_800_000_000
"""2100-01-01, the end of the times believed: nanoseconds passed as microseconds fall after it."""

LONG, INT = 1 << 63, 1 << 31
"""Ends of the wire's integers of 64 and of 32 bits: from -LONG up to, and without, LONG."""

_LONGEST_SHOWN = 512  # bits; a field of the wire may hold more digits than Python agrees to print


def check_time(time: int, *, field: str, not_after: int | None = None) -> int:
    """Return a plausible time unchanged; `not_after` bounds clocks that run ahead. Raises DataValidationError."""
    if not EARLIEST <= time < LATEST:
        raise DataValidationError("bad_time", f"{field}: {_shown(time)} is not a time in microseconds since 1970", field=field)
    if not_after is not None and time > not_after:
        raise DataValidationError(
            "future_time",
            f"{field}: {time} is {(time - not_after) / 1e6:.3f} s later than a clock may run ahead",
            field=field,
        )
    return time


def check_id(text: str, *, field: str) -> str:
    """Return an id or name of bearable length unchanged. Raises DataValidationError."""
    if not 0 < len(text) <= LONGEST_ID:
        raise DataValidationError("bad_id", f"{field}: must have 1 to {LONGEST_ID} characters", field=field)
    return text


def check_figure(value: int, *, field: str, precision: int = PRECISION) -> int:
    """Return an unscaled integer that the wire's decimals can hold unchanged. Raises DataValidationError."""
    if not fits(value, precision):
        raise DataValidationError("too_large", f"{field}: {_shown(value)} has too many digits", field=field)
    return value


def check_positive(value: int, *, field: str) -> int:
    """Like `check_figure`, for prices and sizes: zero and negative values are refused."""
    if value <= 0:
        raise DataValidationError("not_positive", f"{field}: {_shown(value)} is not above zero", field=field)
    return check_figure(value, field=field)


def check_not_negative(value: int, *, field: str, precision: int = PRECISION) -> int:
    """Return a figure of zero or above that fits its type unchanged. Raises DataValidationError."""
    if value < 0:
        raise DataValidationError("negative", f"{field}: {_shown(value)} is below zero", field=field)
    return check_figure(value, field=field, precision=precision)


def check_whole(value: int, *, field: str, limit: int = LONG) -> int:
    """Return an integer that the wire's integers (`limit`: LONG or INT) can hold unchanged. Raises DataValidationError."""
    if not -limit <= value < limit:
        raise DataValidationError("too_large", f"{field}: {_shown(value)} has too many digits", field=field)
    return value


def check_count(value: int, *, field: str) -> int:
    """Return a number of things, of which there is at least one, unchanged. Raises DataValidationError."""
    if value < 1:
        raise DataValidationError("not_positive", f"{field}: {_shown(value)} is below one", field=field)
    return check_whole(value, field=field, limit=INT)


def _shown(value: int) -> str:
    bits = value.bit_length()
    return str(value) if bits <= _LONGEST_SHOWN else f"a number of {bits} bits"
