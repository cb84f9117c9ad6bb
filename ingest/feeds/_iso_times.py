"""Times as ISO 8601 text in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from market.errors import DataValidationError

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def iso_of_millis(millis: int) -> str:
    """2021-04-17T16:43:37.264Z of milliseconds."""
    return (_EPOCH + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def micros_of_iso(text: str, field: str) -> int:
    """Microseconds of 2021-04-17T16:43:37.264230Z, further digits cut off. Raises DataValidationError (`bad_time`)."""
    match = _TIME.fullmatch(text)
    try:
        told = datetime.fromisoformat(f"{match[1]}+00:00") if match else None
    except ValueError:
        told = None
    if told is None or match is None:
        raise DataValidationError("bad_time", f"{field}: {text!r:.40} is no time such as 2021-04-17T16:43:37Z", field=field)
    return (told - _EPOCH) // _SECOND * 1_000_000 + int((match[2] or "0")[:6].ljust(6, "0"))
