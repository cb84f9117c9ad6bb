"""Trading calendars of venues, from the library exchange_calendars.

The library brings pandas, which takes a second to import: it is loaded when a venue needs it, not for those that never close.
A calendar holds from 2000 to the last day that the library knows, 2049 at most, so that it does not depend on the day a worker
starts. Where holidays are decreed year by year, as in Shanghai, that is the end of the last year published: trades after it are
refused until the library is renewed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from market.instrument import venue_of
from market.interval import MINUTE
from market.session import Auctions, Session, TradingCalendar, TradingDay
from runtime.errors import ConfigurationError, Problem

FIRST_DAY, LAST_DAY = "2000-01-01", "2049-12-31"

OF_VENUES = {"sse": "XSHG", "szse": "XSHG", "bse": "XSHG", "hkex": "XHKG"}
"""Calendars of venues that need no setting; one takes their place."""

AUCTIONS = {
    # Shanghai and Shenzhen: orders from 09:15 on are matched at 09:25; what is matched at 15:00:00 is told within seconds.
    "XSHG": Auctions(opening=15 * MINUTE, closing=MINUTE),
    # HKEX: pre-opening session from 09:00 to 09:30, closing auction session up to 16:10, or 12:10 on half days.
    "XHKG": Auctions(opening=30 * MINUTE, closing=10 * MINUTE),
}
"""Auctions whose trades lie further outside of the library's sessions than those of most venues."""

_NONE = -(1 << 63)
"""How the library writes a break that there is not."""


class Calendars:
    """Which venues have which calendar, by `processors.calendars` and `OF_VENUES`; all others never close.

    Raises ConfigurationError when the library has none of a name configured.
    """

    def __init__(self, configured: Mapping[str, str]) -> None:
        self._names = {**OF_VENUES, **configured}
        for venue, name in configured.items():
            _check(venue, name)

    def of(self, instrument: str) -> TradingCalendar | None:
        """The calendar of an instrument's venue."""
        name = self._names.get(venue_of(instrument))
        return None if name is None else load_calendar(name)


@cache
def load_calendar(name: str) -> TradingCalendar:
    """A calendar of the library by its name or alias (XSHG, NYSE). Raises the library's InvalidCalendarName."""
    library = _library()
    bounds = library.get_calendar(name)
    earliest, latest = bounds.bound_min(), bounds.bound_max()
    first = FIRST_DAY if earliest is None else max(FIRST_DAY, f"{earliest:%Y-%m-%d}")
    last = LAST_DAY if latest is None else min(LAST_DAY, f"{latest:%Y-%m-%d}")
    found = library.get_calendar(name, start=first, end=last)
    auctions = AUCTIONS.get(library.resolve_alias(name), Auctions())
    return TradingCalendar(found.name, str(found.tz), list(_days(found)), auctions)


def _library() -> Any:
    import exchange_calendars

    return exchange_calendars


def _check(venue: str, name: str) -> None:
    library = _library()
    try:
        library.resolve_alias(name)
    except library.errors.InvalidCalendarName as error:
        similar = get_close_matches(name.upper(), library.get_calendar_names(), n=1)
        raise ConfigurationError(
            Problem(
                f"processors.calendars.{venue}",
                "exchange_calendars has no calendar of this name",
                name,
                hint=f"did you mean {similar[0]}?" if similar else "",
            )
        ) from error


def _days(found: Any) -> Iterator[TradingDay]:
    columns = (found.opens_nanos, found.break_starts_nanos, found.break_ends_nanos, found.closes_nanos)
    times = zip(*(column.tolist() for column in columns), strict=True)
    for label, (opens, pauses, resumes, closes) in zip(found.sessions, times, strict=True):
        edges = (opens, closes) if pauses == _NONE else (opens, pauses, resumes, closes)
        micros = [edge // 1000 for edge in edges]
        yield TradingDay(f"{label:%Y-%m-%d}", tuple(map(Session, micros[::2], micros[1::2])))
