"""A backfill of one stream from a REST server that stands in for the venue's."""

import asyncio
from pathlib import Path
from typing import Any, TypeVar

from ingest import feeds
from ingest.backfill import Backfill, TellingVenue, VenueHistory, check_history
from ingest.bookmarks import Bookmarks
from ingest.feed import Subscription
from schemas.records import Record
from tests.ingest_parts import Bench, FakeClock

SKEW = 5_000_000

_Kind = TypeVar("_Kind", bound=Record)


def telling(instrument: str) -> TellingVenue:
    """The venue of an instrument, which tells its past."""
    venue = feeds.load(instrument.partition(":")[0])
    assert isinstance(venue, TellingVenue)
    return venue


def backfilled(
    stream: Subscription, kind: type[_Kind], rest: Any, begin: int, end: int, marks: Path, clock: FakeClock
) -> list[_Kind]:
    """What a backfill publishes, which is all of one kind; `rest` stands in for `ingest.rest.RestClient`."""
    venue, bench = telling(stream.instrument), Bench()
    wanted = [(stream, begin, end)]
    check_history(venue, wanted)
    history = VenueHistory(venue, rest, clock, SKEW)
    work = Backfill(history, clock, bench.publisher, Bookmarks(marks), told=lambda _stream, _records, _share: None)
    asyncio.run(work.run(wanted))
    sent = bench.sent()
    assert all(isinstance(record, kind) for record in sent)
    return [record for record in sent if isinstance(record, kind)]
