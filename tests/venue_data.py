"""Recorded traffic of the venues: what may be committed always, the whole files where they are at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ingest import feeds
from ingest.playback import Playback
from ingest.recordings import read_recordings
from market.depth import BookState, Depth
from schemas.records import Record
from tests.ingest_parts import ALL_DATA, CRYPTOFEED, played

OKX = (CRYPTOFEED / "OKX-20220513" / "OKX.ws.1.0.gz",)
GATEIO = tuple(CRYPTOFEED / "GATEIO-20210422" / f"GATEIO.{part}.gz" for part in ("0", "http.0.0", "ws.1.0"))
GATEIO_FUTURES = tuple(
    CRYPTOFEED / "GATEIO_FUTURES-20230524" / f"GATEIO_FUTURES.{part}.gz" for part in ("0", "http.0.0", "ws.1.0")
)
KRAKEN = tuple(CRYPTOFEED / "KRAKEN-20210417" / f"KRAKEN.{part}.gz" for part in ("0", "ws.48.0", "ws.49.0", "ws.50.0.excerpt"))
BITGET = tuple(CRYPTOFEED / "BITGET-20220407" / f"BITGET.{part}.gz" for part in ("0", "ws.1.0.excerpt", "ws.2.0.excerpt"))
COINBASE = tuple(CRYPTOFEED / "COINBASE-20210417" / f"COINBASE.{part}.gz" for part in ("0", "ws.28.0"))
BITSTAMP = tuple(CRYPTOFEED / "BITSTAMP-20220105" / f"BITSTAMP.{part}.gz" for part in ("0", "http.0.0", "ws.1.0"))
BITFINEX = tuple(CRYPTOFEED / "BITFINEX-20210417" / f"BITFINEX.{part}.gz" for part in ("0", "ws.11.0"))
KRAKEN_FUTURES = tuple(CRYPTOFEED / "KRAKEN_FUTURES-20210722" / f"KRAKEN_FUTURES.{part}.gz" for part in ("0", "ws.1.0"))
DERIBIT = (CRYPTOFEED / "DERIBIT-20210722" / "DERIBIT.ws.1.0.gz",)

_WHOLE = ALL_DATA / "cryptofeed"
WHOLE_KRAKEN = tuple(_WHOLE / "KRAKEN-20210417" / f"KRAKEN.{part}.gz" for part in ("0", "ws.48.0", "ws.49.0", "ws.50.0"))
WHOLE_BITGET = tuple(_WHOLE / "BITGET-20220407" / f"BITGET.{part}.gz" for part in ("0", "ws.1.0", "ws.2.0"))
WHOLE_BYBIT = tuple(sorted(ALL_DATA.glob("cryptofeed-v3/BYBIT-*.gz")))
WHOLE_KRAKEN_REST = ALL_DATA / "kraken"

NO_WHOLE = "the whole recordings are not at hand (TAPELINE_DATA)"


@cache
def recorded(venue: str, *paths: Path) -> tuple[list[Record], Playback]:
    """The records of recorded files, and the playback that made them."""
    playback = Playback(feeds.load(venue))
    return played(read_recordings(paths), playback=playback), playback


def book_states(records: Iterable[Record]) -> Counter[str]:
    """How many messages about books left their book in which state."""
    return Counter(record.state.value for record in records if isinstance(record, Depth))


def all_live(records: Iterable[Record], number: int) -> bool:
    """Whether so many messages about books came and each left its book LIVE: no checksum differed, nothing was missed."""
    return book_states(records) == {BookState.LIVE.value: number}
