"""What comes next on a live stream: most of all frames, taken in with as little as there is to look at.

A stream is steady while it is live, not muted, and its records are this line's and this channel's to tell. The session says
which are, and forgets it whenever anything of this changes. Of the next quote nothing is left to decide then, of the next
trade only whether its id is the number behind the last one's. Whatever else comes goes the session's whole way, which gives
the same for these. `ingest._steady_compiled` does it sooner where it was built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ingest.feed import Counts, Lone, Parsed
from ingest.marks import Continuity, number_of
from market.quote import Quote
from market.trade import Trade
from schemas.records import Record

_NUMBERS = 10**18  # as in `market.seen_trades`


class PlainSteady:
    """A line's steady streams, and when it was last heard: any data (`heard_at`), and since it was restored (`last_data`)."""

    __slots__ = ("_counts", "_heartbeats", "_quotes", "_trades", "heard_at", "last_data", "parse")

    def __init__(self, parse: Callable[[bytes, int], Parsed | Lone], counts: Counts, heartbeats: Collection[str]) -> None:
        self.parse = parse
        self._counts, self._heartbeats = counts, heartbeats
        self._trades: dict[str, dict[str, Continuity]] = {}  # by channel, then by instrument
        self._quotes: dict[str, set[str]] = {}
        self.last_data: int | None = None
        self.heard_at: int | None = None

    def note_quotes(self, instrument: str, channel: str) -> None:
        """Quotes of an instrument by a channel are steady."""
        if channel not in self._heartbeats:
            self._quotes.setdefault(channel, set()).add(instrument)

    def note_trades(self, instrument: str, channel: str, known: Continuity) -> None:
        """Trades of an instrument by a channel are steady, as far as they follow what is known."""
        if channel not in self._heartbeats:
            self._trades.setdefault(channel, {})[instrument] = known

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
        if isinstance(parsed, Parsed):
            channel, found, told, faults = parsed
            if len(found) != 1 or told or faults:
                return parsed
            record = found[0]
        else:
            channel, record = parsed
        kind = type(record)
        if kind is Quote:
            steady = self._quotes.get(channel)
            is_next = steady is not None and record[0] in steady
        elif type(record) is Trade:
            known = self._trades.get(channel)
            is_next = known is not None and record[0] in known and _follows(known[record[0]], record)
        else:
            is_next = False
        if not is_next:
            return parsed if isinstance(parsed, Parsed) else Parsed(channel, (record,))
        counts.received[channel] += 1
        counts.records[kind] += 1
        self.last_data = self.heard_at = at
        return record


def _follows(known: Continuity, trade: Trade) -> bool:
    """Take in the trade whose number is next to the last one's, where ids have no holes: `Marks.before` would give no marks.

    False for any other trade, of which nothing is remembered then.
    """
    trade_id, number, exchange_time, last_id, seen = trade[1], trade[2], trade[6], trade[9], known.seen
    if number != seen.last + 1 or not 0 < number < _NUMBERS or trade_id != str(number):
        return False
    last: int | None = number
    if trade_id != last_id:
        last = number_of(last_id)
    elif trade[8] != last_id:
        return False  # it sums up several under the id of the last
    known.is_up, known.was_down = True, False
    seen.last = number
    event_time = trade[7] if exchange_time is None else exchange_time
    if event_time > known.latest:
        known.latest = event_time
    if last is None or known.last_id is None or last > known.last_id:
        known.last_id = last
    return True


if TYPE_CHECKING:
    Steady = PlainSteady
else:
    try:
        from ingest._steady_compiled import Steady as Steady
    except ImportError:  # it was not built
        Steady = PlainSteady
