"""What comes next on a live stream: most of all frames, taken in with as little as there is to look at.

A stream is steady while it is live, not muted, and its records are this line's and this channel's to tell. The session says
which are, and forgets it whenever anything of this changes. Of the next quote nothing is left to decide then, of the next
trade only whether its id is the number behind the last one's. Whatever else comes goes the session's whole way, which gives
the same for these. `ingest._steady_compiled` does it sooner where it was built.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ingest.feed import Counts, Parsed
from ingest.marks import Continuity, number_of
from market.quote import Quote
from market.trade import Trade
from schemas.records import Record

_NUMBERS = 10**18  # as in `market.seen_trades`


@dataclass(slots=True)
class Steady:
    """A line's steady streams, by instrument and channel, and when it was last heard: any data, and since it was restored."""

    trades: dict[tuple[str, str], Continuity] = field(default_factory=dict)
    quotes: set[tuple[str, str]] = field(default_factory=set)
    last_data: int | None = None
    heard_at: int | None = None

    def forget(self) -> None:
        """No stream is known to be steady."""
        self.trades.clear()
        self.quotes.clear()


def next_plainly(steady: Steady, counts: Counts, heartbeats: Collection[str], parsed: Parsed, at: int) -> Record | None:
    """The record of a frame, which is counted, where it is the one that comes next on a steady stream.

    None where there is more to say, or may be; nothing is done then.
    """
    channel, found, told, faults = parsed
    if len(found) != 1 or told or faults or channel in heartbeats:
        return None
    record = found[0]
    if type(record) is Trade:
        known = steady.trades.get((record.instrument, channel))
        if known is None or not _follows(known, record):
            return None
    elif type(record) is not Quote or (record.instrument, channel) not in steady.quotes:
        return None
    counts.received[channel] += 1
    counts.records[type(record)] += 1
    steady.last_data = steady.heard_at = at
    return record


def _follows(known: Continuity, trade: Trade) -> bool:
    """Take in the trade whose number is next to the last one's, where ids have no holes: `Marks.before` would give no marks.

    False for any other trade, of which nothing is remembered then.
    """
    number, last_id, seen = trade.sequence, trade.last_trade_id, known.seen
    if not 0 < number < _NUMBERS or number != seen.last + 1 or trade.trade_id != str(number):
        return False
    last: int | None = number
    if trade.trade_id != last_id:
        last = number_of(last_id)
    elif trade.first_trade_id != last_id:
        return False  # it sums up several under the id of the last
    known.is_up, known.was_down = True, False
    seen.last = number
    known.latest = max(known.latest, trade.event_time)
    known.last_id = last if last is None or known.last_id is None else max(last, known.last_id)
    return True


try:
    from ingest._steady_compiled import next_of_steady as next_of_steady
except ImportError:  # it was not built
    next_of_steady = next_plainly
