"""Monthly partitions, made when a batch first needs them and one month ahead.

The database's own function makes them, with its owner's rights: a sink's role need not own a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection


class Months:
    """The partitions known to be there; months are counted as year × 12 + month - 1."""

    def __init__(self) -> None:
        self._known: set[tuple[str, int]] = set()

    def ensure(self, connection: Connection[Any], needed: Iterable[tuple[str, int]]) -> None:
        """Make the partitions of these tables and months, and those of the months after them, where they are missing."""
        wanted = {(table, month + ahead) for table, month in needed for ahead in (0, 1)} - self._known
        for table, month in sorted(wanted):
            connection.execute("SELECT make_month(%s, %s::date)", (table, _date_text(month)))
        self._known |= wanted

    def forget(self) -> None:
        """Look again before the next batch: someone may have removed one."""
        self._known.clear()


def _date_text(month: int) -> str:
    year, index = divmod(month, 12)
    return f"{year:04d}-{index + 1:02d}-01"
