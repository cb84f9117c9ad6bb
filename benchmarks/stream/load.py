"""The load of the stream benchmark: framed Avro records of a trade stream, made fast and the same for equal arguments.

500 instruments with Zipf frequencies, event time advancing at 5,000 trades a second, ids rising by one per instrument, one
time mark per instrument and second, one record in a thousand a repetition of a recent trade. The encoding is written by hand
(fastavro takes ten times as long); a test holds it equal to the codec's.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from market.decimals import ONE
from schemas.primitives import encode_varint

INSTRUMENTS = 500
TRADES_PER_SECOND = 5_000
FIRST_ID = 1 << 20
"""Ids start where their text has seven digits."""
RECENT = 1_000
"""A repetition repeats one of so many latest trades."""
DUPLICATE_EVERY = 1_000
"""One trade in so many is followed by a repetition, on average."""
NETWORK_DELAY = 3_000
"""Microseconds."""

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_CLOSING = 5 * _SECOND
_TICK = ONE // 100
_LOT = ONE // 100_000
_STEPS = (-3, -2, -1, -1, 0, 0, 0, 1, 1, 2, 3)
_SIDES = (b"\x02\x00", b"\x02\x02")
_ONE_EXECUTION = b"\x02"
_PRESENT = b"\x02"
_STREAMED = b"\0"  # its origin is null
_KNOWN_PARTS = 1 << 17
_LOW = [bytes((low & 0x7F | 0x80, low >> 7 | 0x80)) for low in range(1 << 14)]


class SchemaIds(NamedTuple):
    """Registered schema ids of the two records."""

    trade: int
    mark: int


class Tick(NamedTuple):
    """A trade as a fold needs it, before any encoding; `id` is its sequence too. Scale 12, microseconds."""

    instrument: str
    id: int
    event_time: int
    price: int
    size: int


class LoadRecord(NamedTuple):
    """A record for the topic: the index of its instrument, its value, and the trade in it (None in a time mark)."""

    instrument: int
    value: bytes
    tick: Tick | None


def instrument_names(count: int = INSTRUMENTS) -> list[str]:
    """Names of the instruments, the most frequent first."""
    return [f"sim:S{number:03d}-USD" for number in range(1, count + 1)]


def long(value: int) -> bytes:
    """An Avro long of zero or above."""
    return encode_varint(value << 1)


def sized(data: bytes) -> bytes:
    """Avro bytes or string."""
    return long(len(data)) + data


def unscaled(value: int) -> bytes:
    """An Avro decimal, as short as it can be."""
    return sized(value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


class LargeLongs:
    """Avro longs of 2^13 and above, by table: neighbours share all but their lowest fourteen bits."""

    def __init__(self) -> None:
        self._high: dict[int, bytes] = {}

    def __call__(self, value: int) -> bytes:
        """Encode a value."""
        doubled = value << 1
        rest = doubled >> 14
        high = self._high.get(rest)
        if high is None:
            if len(self._high) == _KNOWN_PARTS:
                self._high.clear()
            high = self._high[rest] = encode_varint(rest)
        return _LOW[doubled & 0x3FFF] + high


class TradeEncoder:
    """Trades and time marks of instruments as framed Avro; `delay` is from exchange time to receive time, and to publishing."""

    def __init__(self, schema_ids: SchemaIds, instruments: Sequence[str], delay: int = NETWORK_DELAY) -> None:
        self._delay = delay
        names = [sized(name.encode()) for name in instruments]
        self._trade_heads = [b"\0" + schema_ids.trade.to_bytes(4, "big") + name for name in names]
        self._mark_heads = [b"\0" + schema_ids.mark.to_bytes(4, "big") + name for name in names]
        self._long = LargeLongs()
        self._prices: dict[int, bytes] = {}

    def trade(self, instrument: int, number: int, price: int, size: bytes, side: bytes, time: int) -> bytes:
        """A trade; `size` and `side` are encoded already, `time` is the exchange's, price unscaled."""
        long = self._long
        text = sized_id(number)
        encoded_price = self._prices.get(price)
        if encoded_price is None:
            if len(self._prices) == _KNOWN_PARTS:
                self._prices.clear()
            encoded_price = self._prices[price] = unscaled(price)
        received = long(time + self._delay)
        published = long(time + 2 * self._delay)
        head = self._trade_heads[instrument] + text + long(number) + encoded_price + size + side + _PRESENT + long(time)
        return head + received + text + text + _ONE_EXECUTION + _PRESENT + published + _STREAMED

    def mark(self, instrument: int, time: int) -> bytes:
        """A time mark."""
        return self._mark_heads[instrument] + self._long(time) + _PRESENT + self._long(time + self._delay)


def sized_id(number: int) -> bytes:
    """A trade id as Avro text."""
    text = b"%d" % number
    return b"%c%b" % (len(text) << 1, text)


class Load:
    """The records in order. `start` is the event time of the first trade, in microseconds."""

    def __init__(self, seed: int, start: int, schema_ids: SchemaIds, instruments: list[str]) -> None:
        self.instruments = instruments
        self._random = random.Random(seed)
        self._encoder = TradeEncoder(schema_ids, instruments)
        self._time = start
        self._next_mark = start + _SECOND
        self._weights = list(accumulate(1 / rank for rank in range(1, len(instruments) + 1)))
        self._numbers = [FIRST_ID] * len(instruments)
        self._ticks = [self._random.randrange(1_000, 7_000_000) for _ in instruments]
        self._sizes = [lots * _LOT for lots in (self._random.randrange(1, 500_000) for _ in range(4_096))]

    def records(self, count: int) -> Iterator[LoadRecord]:
        """The next `count` records. None of them repeats one that an earlier call gave."""
        source = self._unbounded()
        for _ in range(count):
            yield next(source)

    def closing(self) -> Iterator[LoadRecord]:
        """A time mark for each instrument that lies behind everything, so that each candle closes."""
        end = (self._time // _MINUTE + 1) * _MINUTE + _CLOSING
        for index in range(len(self.instruments)):
            yield LoadRecord(index, self._encoder.mark(index, end), None)

    def _unbounded(self) -> Iterator[LoadRecord]:
        recent: deque[LoadRecord] = deque(maxlen=RECENT)
        step = _SECOND // TRADES_PER_SECOND
        until_duplicate = self._random.randrange(1, 2 * DUPLICATE_EVERY)
        for record in self._trades():
            recent.append(record)
            yield record
            until_duplicate -= 1
            if not until_duplicate:
                until_duplicate = self._random.randrange(1, 2 * DUPLICATE_EVERY)
                yield self._random.choice(recent)
            self._time += step
            if self._time >= self._next_mark:
                for index in range(len(self.instruments)):
                    yield LoadRecord(index, self._encoder.mark(index, self._next_mark), None)
                self._next_mark += _SECOND

    def _trades(self) -> Iterator[LoadRecord]:
        choices, numbers, prices, names = self._random.choices, self._numbers, self._ticks, self.instruments
        encode, population = self._encoder.trade, range(len(self.instruments))
        sizes = [(size, unscaled(size)) for size in self._sizes]
        while True:
            chosen = zip(
                choices(population, cum_weights=self._weights, k=RECENT),
                choices(_STEPS, k=RECENT),
                choices(sizes, k=RECENT),
                choices(_SIDES, k=RECENT),
                strict=True,
            )
            for index, move, (size, encoded_size), side in chosen:
                number = numbers[index]
                numbers[index] = number + 1
                prices[index] = ticks = max(1, prices[index] + move)
                price, time = ticks * _TICK, self._time
                tick = Tick(names[index], number, time, price, size)
                yield LoadRecord(index, encode(index, number, price, encoded_size, side, time), tick)
