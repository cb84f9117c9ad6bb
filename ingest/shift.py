"""Moves the records of a recording to now.

Three kinds of time move differently. Receive times become the moment in which a record is replayed, so that latencies are
measured from there. Event times (exchange times, time marks, bounds of gaps) move by one constant: what lies between two
events stays as it was, and their candles close on full minutes of the wall clock. Ids and sequences move by a run offset, so
that a second replay is not taken for a repetition of the first; ids that are no numbers get it as a prefix.
"""

from __future__ import annotations

from typing import NamedTuple

from market.dead_letter import DeadLetter
from market.depth import Depth
from market.feed_status import FeedStatus
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade
from schemas.records import Record

_MINUTE = 60_000_000


class Shift(NamedTuple):
    """`event`: microseconds added to event times. `ids`: added to ids and sequences."""

    event: int
    ids: int

    def apply(self, record: Record, now: int) -> Record:
        """The record as if it were received now."""
        if isinstance(record, Trade):
            return record._replace(
                trade_id=self._id(record.trade_id),
                sequence=record.sequence + self.ids,
                exchange_time=self._time(record.exchange_time),
                received_at=now,
                first_trade_id=self._id(record.first_trade_id),
                last_trade_id=self._id(record.last_trade_id),
            )
        if isinstance(record, TimeMark):
            return record._replace(time=record.time + self.event)
        if isinstance(record, GapMark):
            return record._replace(begin=self._time(record.begin), end=record.end + self.event)
        if isinstance(record, Depth):
            return record._replace(
                first_sequence=self._sequence(record.first_sequence),
                last_sequence=self._sequence(record.last_sequence),
                previous_sequence=self._sequence(record.previous_sequence),
                exchange_time=self._time(record.exchange_time),
                received_at=now,
            )
        if isinstance(record, Quote):
            sequence = self._sequence(record.sequence)
            return record._replace(sequence=sequence, exchange_time=self._time(record.exchange_time), received_at=now)
        if isinstance(record, Kline):
            return record._replace(
                open_time=record.open_time + self.event,
                first_trade_id=None if record.first_trade_id is None else self._id(record.first_trade_id),
                last_trade_id=None if record.last_trade_id is None else self._id(record.last_trade_id),
                exchange_time=self._time(record.exchange_time),
                received_at=now,
            )
        if isinstance(record, Funding):
            return record._replace(
                next_funding_time=self._time(record.next_funding_time),
                exchange_time=self._time(record.exchange_time),
                received_at=now,
            )
        if isinstance(record, OpenInterest):
            return record._replace(exchange_time=self._time(record.exchange_time), received_at=now)
        if isinstance(record, InstrumentDefinition):
            return record._replace(expires_at=self._time(record.expires_at), received_at=now)
        if isinstance(record, FeedStatus):
            return record._replace(changed_at=now)
        return record._replace(failed_at=now) if isinstance(record, DeadLetter) else record

    def _time(self, time: int | None) -> int | None:
        return None if time is None else time + self.event

    def _sequence(self, sequence: int | None) -> int | None:
        return None if sequence is None else sequence + self.ids

    def _id(self, trade_id: str) -> str:
        if trade_id.isascii() and trade_id.isdecimal():
            return str(int(trade_id) + self.ids)
        return f"{self.ids}:{trade_id}"


def shift_to(now: int, first: int, *, lag: int = 0) -> Shift:
    """The shift of a recording whose first frame was received at `first` and is replayed `now`.

    Event times are `lag` microseconds behind the moment of replay, beside what they were behind when recorded. The run offset
    is `now` itself: later runs get higher ids as long as no run holds more than a million ids a second.
    """
    return Shift(now - first - lag, now)


def lag_to_close_a_minute(now: int, within: int) -> int:
    """The least lag with which event times cross a full minute at most `within` microseconds from now: 0 to one minute."""
    to_next = _MINUTE - now % _MINUTE
    return 0 if to_next <= within else _MINUTE - to_next + within


def lag_of_speed(duration: int, speed: float | None) -> int:
    """The lag that keeps a faster replay (None: as fast as it goes) from running ahead of the clock: its last event is now."""
    return duration if speed is None else max(0, duration - round(duration / speed))
