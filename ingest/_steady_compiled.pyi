from collections.abc import Collection

from ingest.feed import Counts, Parsed
from ingest.steady import Steady
from schemas.records import Record

def next_of_steady(steady: Steady, counts: Counts, heartbeats: Collection[str], parsed: Parsed, at: int) -> Record | None: ...
