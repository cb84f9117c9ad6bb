"""Shares of Shanghai, Shenzhen and Beijing by the library efinance: `stock.get_realtime_quotes()`, quotes of Eastmoney's.

The feed `eastmoney` asks the same source by itself, for the instruments wanted alone, and keeps every figure as it was written.
Needs `pip install 'tapeline[efinance]'`; what was captured is read without. See `ingest.libraries.efinance` for the figures.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from ingest.feeds._cn_library import LibraryVenue
from ingest.feeds._cn_snapshots import Row
from ingest.libraries._rows import Given
from ingest.libraries.efinance import read_row


def _fetch(efinance: Any) -> Any:
    return efinance.stock.get_realtime_quotes()


def _read(row: Given, zone: tzinfo) -> Row:
    return read_row(row, zone=zone)


VENUE = LibraryVenue(library="efinance", venues=("sse", "szse", "bse"), fetch=_fetch, codes=("股票代码",), read=_read)
