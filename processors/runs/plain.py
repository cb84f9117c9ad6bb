"""The folder of runs in plain Python: for where the compiled one cannot be built.

It draws the same line between what belongs to a run and what is handed over as `processors.runs.compiled`: what it takes in
is proven simple by its bytes alone, all else goes to `other`. It is written for speed, which shows: `read_trade` decodes one
layout in as few steps as Python allows, and what follows from an instrument or a window is worked out when it is armed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from market.candle import Candle, TradePoint
from market.candle_series import LARGEST_RUN_AMOUNT, LARGEST_RUN_VOLUME
from market.decimals import PRECISION
from market.instrument import check_instrument
from market.run import Run, Window
from processors.batch import RawRecord
from processors.runs.protocol import BEGIN_OF_TIMES, END_OF_TIMES, LONGEST_POINT_ID, Contract, Other, RunCounts

_HEADER = struct.Struct(">bI")
_LONGEST_COUNT = 2**31 - 1
_LONGEST_VARINT = 7 * 10
_LONGEST_NUMBER = 2 * 18
"""Length byte of the longest trade id that is a number: Avro writes twice the length."""

_FIGURE_LIMITS = tuple(min(1 << (4 * n - 1), 10**PRECISION) if n and n % 2 == 0 else 0 for n in range(33))
"""By the length byte of a decimal: what a positive one stays below. There is no limit for what is longer than 128 bits."""

_TWO_TIMES = struct.Struct("4B5s3B5s")
"""Union index, exchange time, receive time. A time we believe takes eight bytes, seven bits in each, the lowest first."""

_ONE_TIME = struct.Struct("3B5s")
_LOW_BITS = 128 + (128 << 7) + (128 << 14)
"""What the continuation bits of the three low bytes add up to."""

_MOST_BASES = 4096
_bases: dict[bytes, int] = {}
"""By the five high bytes of a time what they stand for, less the continuation bits of the low ones."""


_from_bytes = int.from_bytes

Body = tuple[int, int, int, int, int, int | None, int, int, bytes, bytes, int]
"""A trade, checked but for its place in the window; a class of its own would cost half a microsecond to make.

Number of its id, event time, price, size, amount, side (0 for buy, 2 for sell, None where unknown), sequence, receive time,
first and last trade id, trade count.
"""


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
        "last",
        "last_id",
        "last_number",
        "last_price",
        "latest",
        "low",
        "mark_prefix",
        "prefix_size",
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

    def add(self, body: Body) -> bool:
        """Add a trade to the run. False, and nothing changed, when its place in the order is in doubt."""
        _, time, price, size, amount, side, sequence, received_at, first_id, last_id, count = body
        place = time, sequence
        if not self.trade_count:
            self.first = self.last = place
            self.first_id, self.last_id = first_id, last_id
            self.first_price = self.last_price = self.high = self.low = price
        else:
            if place > self.last:
                self.last, self.last_price, self.last_id = place, price, last_id
            elif place < self.first:
                self.first, self.first_price, self.first_id = place, price, first_id
            elif place in (self.first, self.last):
                return False
            if price > self.high:
                self.high = price
            elif price < self.low:
                self.low = price
        self.volume += size
        self.amount += amount
        if side == 0:
            self.taker_buy += size
        elif side is None:
            self.sides_known = False
        self.trade_count += count
        if received_at > self.received_at:
            self.received_at = received_at
        return True

    def run(self) -> Run:
        """The run so far."""
        candle = self._candle() if self.trade_count else None
        return Run(candle, self.source_offset, self.applied_offset, self.last_number, self.latest)

    def _candle(self) -> Candle:
        return Candle(
            TradePoint(*self.first, self.first_price, self.first_id.decode()),
            TradePoint(*self.last, self.last_price, self.last_id.decode()),
            self.high,
            self.low,
            self.volume,
            self.amount,
            self.taker_buy if self.sides_known else None,
            self.trade_count,
            self.received_at,
        )


class Folder:
    """See `processors.runs.protocol.RunFolder`."""

    def __init__(self, contract: Contract, other: Other) -> None:
        self._contract = contract
        self._other = other
        self._lanes: dict[bytes | None, Lane] = {}
        self._touched: dict[str, None] = {}
        self._counts = RunCounts()

    def fold(self, records: Iterable[RawRecord]) -> None:
        """Take in consecutive records."""
        lanes, other, skew = self._lanes, self._other, self._contract.max_skew
        for raw in records:
            offset, timestamp_ms, key, value = raw
            lane = lanes.get(key)
            if lane is None or value is None:
                other(raw)
            elif value.startswith(lane.trade_prefix):
                body = read_trade(value, lane.prefix_size, timestamp_ms * 1000 + skew, skew)
                if body is None or not self._take_trade(lane, offset, body):
                    other(raw)
            elif not value.startswith(lane.mark_prefix):
                other(raw)
            else:
                time = read_mark(value, lane.prefix_size, timestamp_ms * 1000 + skew)
                if time is None or not self._take_mark(lane, offset, time):
                    other(raw)

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
            counts.trades += 1
            return True
        number, time, _, size, amount = body[:5]
        if not lane.begin <= time < lane.end:
            return False
        if lane.volume + size >= LARGEST_RUN_VOLUME or lane.amount + amount >= LARGEST_RUN_AMOUNT:
            return False
        if lane.floor_id < number <= lane.last_number:
            counts.duplicate += 1
        elif number == lane.last_number + 1 and lane.add(body):
            lane.last_number = number
            lane.source_offset = offset
            if time > lane.latest:
                lane.latest = time
            self._touched[lane.instrument] = None
            counts.applied += 1
        else:
            return False
        lane.applied_offset = offset
        counts.trades += 1
        return True

    def _take_mark(self, lane: Lane, offset: int, time: int) -> bool:
        counts = self._counts
        if offset <= lane.applied_offset:
            counts.replayed += 1
            return True
        if time >= lane.closes_at:
            return False
        if time > lane.latest:
            lane.latest = time
            self._touched[lane.instrument] = None
            counts.applied += 1
        else:
            counts.unchanged += 1
        lane.applied_offset = offset
        return True


def read_trade(value: bytes, at: int, limit: int, skew: int) -> Body | None:
    """The trade whose fields follow its instrument at `at`; None when it is not simple or not valid."""
    try:
        return _read_trade(value, at, limit, skew)
    except KeyError as unknown:
        return read_trade(value, at, limit, skew) if _learn_base(unknown.args[0]) else None
    except (IndexError, ValueError, struct.error):
        return None


def _read_trade(value: bytes, at: int, limit: int, skew: int) -> Body | None:
    """As `read_trade`. Raises IndexError, ValueError and struct.error too, and KeyError with the high bytes of a new time.

    Only slices do not mind an end that comes too soon, and behind each a byte is read that then is missing.
    """
    size = value[at]
    p = at + 1 + (size >> 1)
    text = value[at + 1 : p]
    if size & 1 or size > _LONGEST_NUMBER or not text.isdigit():
        return None
    ids = value[at:p] * 2

    sequence, p = _read_varint(value, p)

    size = value[p]
    end = p + 1 + (size >> 1)
    price = _from_bytes(value[p + 1 : end])
    if not 0 < price < _FIGURE_LIMITS[size]:
        return None
    size = value[end]
    p = end + 1 + (size >> 1)
    quantity = _from_bytes(value[end + 1 : p])
    amount = price * quantity
    if not 0 < quantity < _FIGURE_LIMITS[size] or amount >= LARGEST_RUN_AMOUNT:
        return None

    side = None
    if value[p]:
        side = value[p + 1]
        if value[p] != 2 or side & ~2:
            return None
        p += 1
    p += 1

    if value[p]:
        index, a, b, c, high, d, e, f, high_2 = _TWO_TIMES.unpack_from(value, p)
        p += 17
        if index != 2 or not a & b & c & d & e & f & 128 or (a | d) & 1:
            return None
        event_time = _bases[high] + (a + (b << 7) + (c << 14) >> 1)
        received_at = _bases[high_2] + (d + (e << 7) + (f << 14) >> 1)
        if event_time > received_at + skew:
            return None
    else:
        event_time = received_at = _time(*_ONE_TIME.unpack_from(value, p + 1))
        p += 9
    if received_at > limit:
        return None

    if value.startswith(ids, p):
        first_id = last_id = text
        p += len(ids)
    else:
        first_id, p = _read_point_id(value, p)
        last_id, p = _read_point_id(value, p)

    count, p = (value[p] >> 1, p + 1) if not value[p] & 129 else _read_varint(value, p)
    if not 1 <= count <= _LONGEST_COUNT or not _is_optional_time(value, p):
        return None
    return int(text), event_time, price, quantity, amount, side, sequence, received_at, first_id, last_id, count


def read_mark(value: bytes, at: int, limit: int) -> int | None:
    """The time of a mark, which follows its instrument at `at`; None when it is not simple or not valid."""
    try:
        time = _time(*_ONE_TIME.unpack_from(value, at))
        return time if time <= limit and _is_optional_time(value, at + 8) else None
    except (IndexError, ValueError, struct.error):
        return None


def _is_optional_time(value: bytes, at: int) -> bool:
    """Whether null or a time we believe stands at `at`, and nothing behind it."""
    if not value[at]:
        return len(value) == at + 1
    if value[at] != 2 or len(value) != at + 9:
        return False
    a, b, c = value[at + 1 : at + 4]
    return a & b & c & ~(a << 7) & 128 != 0 and (value[at + 4 :] in _bases or _learn_base(value[at + 4 :]))


def _time(a: int, b: int, c: int, high: bytes) -> int:
    """A time from its three low bytes and the other five. Raises ValueError when it is none we believe."""
    if not a & b & c & 128 or a & 1 or not (high in _bases or _learn_base(high)):
        raise ValueError("no time we believe")
    return _bases[high] + (a + (b << 7) + (c << 14) >> 1)


def _learn_base(high: bytes) -> bool:
    """Remember what the five high bytes of a time stand for, about a second of times; False when it is not believed."""
    a, b, c, d, e = high
    base = (a & 127 | (b & 127) << 7 | (c & 127) << 14 | (d & 127) << 21 | e << 28) << 20
    if not a & b & c & d & ~e & 128 or not BEGIN_OF_TIMES <= base < END_OF_TIMES:
        return False
    if len(_bases) >= _MOST_BASES:
        _bases.clear()
    _bases[high] = base - (_LOW_BITS >> 1)
    return True


def _read_varint(value: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint of at most 64 bits, and where it ends. Raises ValueError, IndexError."""
    byte = value[at]
    at += 1
    found, shift = byte & 127, 7
    while byte > 127:
        byte = value[at]
        at += 1
        found |= (byte & 127) << shift
        shift += 7
    if found >> 64 or shift > _LONGEST_VARINT:
        raise ValueError("no integer of 64 bits")
    return (found >> 1) ^ -(found & 1), at


def _read_point_id(value: bytes, at: int) -> tuple[bytes, int]:
    """An id that a run holds, and where it ends. Raises ValueError, IndexError."""
    size = value[at]
    end = at + 1 + (size >> 1)
    text = value[at + 1 : end]
    if not size or size & 1 or size > 2 * LONGEST_POINT_ID or not text.isascii():
        raise ValueError("no id of a run")
    return text, end


def _varint_of_length(length: int) -> bytes:
    size = 2 * length
    return bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
