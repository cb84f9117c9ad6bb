"""Shares of Shanghai, Shenzhen and Beijing by the library akshare: `stock_zh_a_spot_em()`, quotes of Eastmoney's without times.

The feed `eastmoney` asks the same source by itself, for the instruments wanted alone, and keeps every figure as it was written.
Needs `pip install 'tapeline[akshare]'`; what was captured is read without. See `ingest.libraries.akshare` for the figures.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from ingest.feeds._cn_library import LibraryVenue
from ingest.feeds._cn_snapshots import Row
from ingest.libraries._rows import Given
from ingest.libraries.akshare import read_row


def _fetch(akshare: Any) -> Any:
    return akshare.stock_zh_a_spot_em()


def _read(row: Given, _zone: tzinfo) -> Row:
    return read_row(row)


VENUE = LibraryVenue(library="akshare", venues=("sse", "szse", "bse"), fetch=_fetch, codes=("代码",), read=_read)
