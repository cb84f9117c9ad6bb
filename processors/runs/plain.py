"""The folder of runs in plain Python: for where the compiled one cannot be built.

It draws the same line between what belongs to a run and what is handed over as `processors.runs.compiled`: what it takes in
is proven simple by its bytes alone, all else goes to `other`. It is written for speed: what follows from an instrument or a
window is worked out when it is armed, and trades are read by the layout of those before (`processors.runs.layouts`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from market.candle import Candle, TradePoint
from market.candle_series import LARGEST_RUN_AMOUNT, LARGEST_RUN_VOLUME, CandleSeries
from market.instrument import check_instrument
from market.run import Run, Window
from processors.batch import RawRecord, Row
from processors.runs.decoding import Body, read_mark, read_trade
from processors.runs.layouts import TradeReader
from processors.runs.protocol import Contract, Other, RunCounts

_HEADER = struct.Struct(">bI")


class Lane:
    """An instrument: its name, its window, its run. Sums are those of `market.candle.Candle`."""

    __slots__ = (
        "amount",
        "applied_offset",
        "armed_offset",
        "begin",
        "closes_at",
        "end",
        "first",
        "first_id",
        "first_price",
        "floor_id",
        "high",
        "instrument",
        "is_touched",
        "last",
        "last_id",
        "last_number",
        "last_price",
        "latest",
        "low",
        "mark_prefix",
        "prefix_size",
        "read",
        "reader",
        "received_at",
        "sides_known",
        "source_offset",
        "taker_buy",
        "trade_count",
        "trade_prefix",
        "volume",
    )

    def __init__(self, instrument: str, contract: Contract) -> None:
        name = instrument.encode()
        spelled = _varint_of_length(len(name)) + name
        self.instrument = instrument
        self.trade_prefix = _HEADER.pack(0, contract.trade_id) + spelled
        self.mark_prefix = _HEADER.pack(0, contract.mark_id) + spelled
        self.prefix_size = len(self.trade_prefix)
        self.reader = TradeReader(self.trade_prefix)
        self.read = self.reader.read

    def arm(self, window: Window) -> None:
        """Begin a run."""
        self.applied_offset, self.last_number, self.floor_id, self.begin, end, self.closes_at, self.latest = window
        self.end = min(end, self.closes_at)
        self.empty()

    def empty(self) -> None:
        """Begin a run where the last one ended."""
        self.armed_offset = self.applied_offset
        self.source_offset = -1
        self.trade_count = self.received_at = self.volume = self.amount = self.taker_buy = 0
        self.sides_known = True
        self.is_touched = False

    def takes(self, body: Body, offset: int) -> bool:
        """Add the trade that follows the last one.

        False, and nothing changed, when the trade is another, there is no room, or its place in the order is in doubt.
        """
        number, time, price, size, amount, side, sequence, received_at, first_id, last_id, count = body
        if number != self.last_number + 1 or offset <= self.applied_offset or not self.begin <= time < self.end:
            return False
        volume = self.volume + size
        amount += self.amount
        if volume >= LARGEST_RUN_VOLUME or amount >= LARGEST_RUN_AMOUNT:
            return False
        place = time, sequence
        if not self.trade_count:
            self.first = self.last = place
            self.first_id, self.last_id = first_id, last_id
            self.first_price = self.last_price = self.high = self.low = price
        elif place > self.last:
            self.last, self.last_price, self.last_id = place, price, last_id
        elif place < self.first:
            self.first, self.first_price, self.first_id = place, price, first_id
        elif place in (self.first, self.last):
            return False
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume = volume
        self.amount = amount
        if side == 0:
            self.taker_buy += size
        elif side is None:
            self.sides_known = False
        self.trade_count += count
        if received_at > self.received_at:
            self.received_at = received_at
        if time > self.latest:
            self.latest = time
        self.last_number = number
        self.applied_offset = self.source_offset = offset
        return True

    def holds(self, body: Body) -> bool:
        """Whether it is a duplicate: a trade with an id of those before, which the run could hold."""
        return (
            self.floor_id < body[0] <= self.last_number
            and self.begin <= body[1] < self.end
            and self.volume + body[3] < LARGEST_RUN_VOLUME
            and self.amount + body[4] < LARGEST_RUN_AMOUNT
        )

    def run(self) -> Run:
        """The run so far."""
        candle = self._candle() if self.trade_count else None
        return Run(candle, self.source_offset, self.applied_offset, self.last_number, self.latest)

    def _candle(self) -> Candle:
        return Candle(
            TradePoint(*self.first, self.first_price, self.first_id[1:].decode()),
            TradePoint(*self.last, self.last_price, self.last_id[1:].decode()),
            self.high,
            self.low,
            self.volume,
            self.amount,
            self.taker_buy if self.sides_known else None,
            self.trade_count,
            self.received_at,
        )


@runtime_checkable
class _HasRows(Protocol):
    """A `RecordBatchView`."""

    def rows(self) -> Iterable[Row]:
        """Its records as plain tuples."""


class Folder:
    """See `processors.runs.protocol.SeriesFolder`."""

    def __init__(self, contract: Contract, other: Other) -> None:
        self._contract = contract
        self._other = other
        self._lanes: dict[bytes | None, Lane] = {}
        self._touched: dict[str, None] = {}
        self._counts = RunCounts()

    def fold(self, records: Iterable[RawRecord]) -> None:
        """Take in consecutive records. What nearly all of them are, the next trade of an instrument, is counted at the end."""
        lanes, other, skew = self._lanes, self._other, self._contract.max_skew
        appended_at, limit, taken = 0, skew, 0
        rows: Iterable[Row] = records.rows() if isinstance(records, _HasRows) else records
        try:
            for row in rows:
                offset, timestamp_ms, key, value = row
                lane = lanes.get(key)
                if lane is None or value is None:
                    other(RawRecord(*row), None)
                    continue
                if timestamp_ms != appended_at:
                    appended_at, limit = timestamp_ms, timestamp_ms * 1000 + skew
                body = lane.read(value, limit, skew)
                if body is not None and lane.takes(body, offset):
                    taken += 1
                    if not lane.is_touched:
                        self._touch(lane)
                elif not self._take_otherwise(lane, offset, limit, value, body):
                    other(RawRecord(*row), None)
        finally:
            self._counts.trades += taken
            self._counts.applied += taken

    def _take_otherwise(self, lane: Lane, offset: int, limit: int, value: bytes, body: Body | None) -> bool:
        """Take in a record that is not the next trade, or is read field by field; False when it does not belong to the run."""
        if body is not None:
            return self._take_trade(lane, offset, body)
        if value.startswith(lane.trade_prefix):
            body = read_trade(value, lane.prefix_size, limit, self._contract.max_skew)
            if body is None:
                return False
            lane.reader.learn(value, body[0])
            return self._take_trade(lane, offset, body)
        if not value.startswith(lane.mark_prefix):
            return False
        time = read_mark(value, lane.prefix_size, limit)
        return time is not None and self._take_mark(lane, offset, time)

    def arm(self, instrument: str, window: Window | None) -> None:
        """Begin a run with this window; None hands all further records of the instrument to `other`."""
        name = instrument.encode()
        self._touched.pop(instrument, None)
        if window is None:
            self._lanes.pop(name, None)
            return
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(check_instrument(instrument), self._contract)
        lane.arm(window)

    def take(self, instrument: str) -> Run | None:
        """End the run and begin the next with the window continued; None when it was empty."""
        lane = self._lanes.get(instrument.encode())
        if lane is None or lane.applied_offset == lane.armed_offset:
            return None
        self._touched.pop(instrument, None)
        run = lane.run()
        lane.empty()
        return run

    def keep(self, series: CandleSeries) -> bool:
        """It keeps none: what opens and closes candles is for the full rules."""
        return False

    def release(self, series: CandleSeries) -> bool:
        """See `keep`."""
        return False

    def store(self) -> None:
        """See `keep`."""

    def touched(self) -> list[str]:
        """Instruments whose runs hold trades or moved their latest time, in the order they were first touched."""
        return [*self._touched]

    def take_counts(self) -> RunCounts:
        """Counts since the last call."""
        counts, self._counts = self._counts, RunCounts()
        return counts

    def _take_trade(self, lane: Lane, offset: int, body: Body) -> bool:
        counts = self._counts
        if offset <= lane.applied_offset:
            counts.replayed += 1
        elif lane.takes(body, offset):
            if not lane.is_touched:
                self._touch(lane)
            counts.applied += 1
        elif lane.holds(body):
            lane.applied_offset = offset
            counts.duplicate += 1
        else:
            return False
        counts.trades += 1
        return True

    def _touch(self, lane: Lane) -> None:
        lane.is_touched = True
        self._touched[lane.instrument] = None

    def _take_mark(self, lane: Lane, offset: int, time: int) -> bool:
        counts = self._counts
        if offset <= lane.applied_offset:
            counts.replayed += 1
            return True
        if time >= lane.closes_at:
            return False
        if time > lane.latest:
            lane.latest = time
            self._touch(lane)
            counts.applied += 1
        else:
            counts.unchanged += 1
        lane.applied_offset = offset
        return True


def _varint_of_length(length: int) -> bytes:
    size = 2 * length
    return bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
