"""Times on a venue's clock, and a small calendar of its days, for tests."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from market.interval import MINUTE
from market.session import Auctions, Session, TradingCalendar, TradingDay

SHANGHAI = "Asia/Shanghai"
DATES = ("2024-08-08", "2024-08-09", "2024-08-12")
"""Thursday, Friday, Monday."""


def micros_at(text: str, zone: str = SHANGHAI) -> int:
    """Microseconds since 1970 of "2024-08-09 09:30" or "2024-08-09 15:00:00.5" on the clock of a zone."""
    seconds, _, fraction = text.partition(".")
    return round(datetime.fromisoformat(seconds).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**6 + int(
        fraction.ljust(6, "0")
    )


def text_at(micros: int, zone: str = SHANGHAI) -> str:
    """Day, hour and minute on the clock of a zone: "09 09:30"."""
    return f"{datetime.fromtimestamp(micros / 1e6, ZoneInfo(zone)):%d %H:%M}"


def a_share_calendar(auctions: Auctions | None = None) -> TradingCalendar:
    """The hours of Shanghai and Shenzhen on `DATES`."""
    days = [
        TradingDay(
            date,
            tuple(
                Session(micros_at(f"{date} {begin}"), micros_at(f"{date} {end}"))
                for begin, end in (("09:30", "11:30"), ("13:00", "15:00"))
            ),
        )
        for date in DATES
    ]
    return TradingCalendar("A-shares", SHANGHAI, days, auctions or Auctions(15 * MINUTE, MINUTE))
