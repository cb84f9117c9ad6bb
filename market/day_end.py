"""When a portfolio's day ends: at a time of day by the clocks of a time zone (the IANA time zone database).

On the day that clocks are moved the day is an hour longer or shorter. A time that they pass over when they are moved forward
counts as if they had not been moved yet, and of one that comes twice the first one counts: the rule of Python's `fold` 0
(PEP 495).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from market.errors import DataValidationError
from market.interval import DAY

UTC_ZONE = "UTC"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OF_THE_MACHINE = frozenset({"localtime", "Factory"})
"""Names that mean another zone on each machine, or none."""


def day_end_after(time: int, ends: int, zone: str) -> int:
    """When the day ends that a time lies in: the first instant of the next one. `ends` is after midnight; microseconds all."""
    if zone == UTC_ZONE:
        return time - (time - ends) % DAY + DAY
    return next(end for end in _ends_about(time // DAY, ends, zone) if end > time)


@lru_cache(maxsize=4096)
def _ends_about(day: int, ends: int, zone: str) -> tuple[int, ...]:
    """Ends of the days about a UTC day, in their order; clocks differ from UTC by less than a day."""
    return tuple(_end(number, ends, zone) for number in range(day - 2, day + 3))


def _end(day: int, ends: int, zone: str) -> int:
    at = datetime(1970, 1, 1) + timedelta(days=day, microseconds=ends)
    return (at.replace(tzinfo=ZoneInfo(zone)) - _EPOCH) // _MICROSECOND


def check_zone(zone: str, *, field: str) -> str:
    """Return the name of a time zone unchanged. Raises DataValidationError (`bad_zone`)."""
    if zone != UTC_ZONE and zone not in _zones():
        raise DataValidationError("bad_zone", f"{field}: {zone!r:.80} is no time zone such as Europe/Berlin", field=field)
    return zone


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _OF_THE_MACHINE
