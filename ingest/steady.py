"""What comes next on a live stream: most of all frames, taken in with as little as there is to look at.

A stream is steady while it is live, not muted, and its records are this line's and this channel's to tell. The session says
which are, and forgets it whenever anything of this changes. Of the next quote nothing is left to decide then, of the next
trade only whether its id is the number behind the last one's. Whatever else comes goes the session's whole way, which gives
the same for these. `ingest._steady_compiled` does it sooner where it was built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ingest.feed import Counts, Parsed
from ingest.marks import Continuity, number_of
from market.quote import Quote
from market.trade import Trade
from schemas.records import Record

_NUMBERS = 10**18  # as in `market.seen_trades`


class PlainSteady:
    """A line's steady streams, and when it was last heard: any data (`heard_at`), and since it was restored (`last_data`)."""

    __slots__ = ("_counts", "_heartbeats", "_quotes", "_trades", "heard_at", "last_data", "parse")

    def __init__(self, parse: Callable[[bytes, int], Parsed], counts: Counts, heartbeats: Collection[str]) -> None:
        self.parse = parse
        self._counts, self._heartbeats = counts, heartbeats
        self._trades: dict[tuple[str, str], Continuity] = {}
        self._quotes: set[tuple[str, str]] = set()
        self.last_data: int | None = None
        self.heard_at: int | None = None

    def note_quotes(self, instrument: str, channel: str) -> None:
        """Quotes of an instrument by a channel are steady."""
        self._quotes.add((instrument, channel))

    def note_trades(self, instrument: str, channel: str, known: Continuity) -> None:
        """Trades of an instrument by a channel are steady, as far as they follow what is known."""
        self._trades[instrument, channel] = known

    def forget(self) -> None:
        """No stream is known to be steady."""
        self._trades.clear()
        self._quotes.clear()

    def take(self, frame: bytes, at: int) -> Record | Parsed:
        """Count and read a frame: the record of one that comes next on a steady stream, which is counted as well.

        Where there is more to say, or may be, it is as it was parsed, and nothing else is done. Raises what `parse` raises.
        """
        counts = self._counts
        counts.frames += 1
        parsed = self.parse(frame, at)
        channel, found, told, faults = parsed
        if len(found) != 1 or told or faults or channel in self._heartbeats:
            return parsed
        record = found[0]
        if type(record) is Trade:
            known = self._trades.get((record.instrument, channel))
            if known is None or not _follows(known, record):
                return parsed
        elif type(record) is not Quote or (record.instrument, channel) not in self._quotes:
            return parsed
        counts.received[channel] += 1
        counts.records[type(record)] += 1
        self.last_data = self.heard_at = at
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


if TYPE_CHECKING:
    Steady = PlainSteady
else:
    try:
        from ingest._steady_compiled import Steady as Steady
    except ImportError:  # it was not built
        Steady = PlainSteady
