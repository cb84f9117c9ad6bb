# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Prices and references chosen in C where that takes no calendar: what is fresh by the clock is so by any calendar.

The rest (overrides, prices that may be stale, previous closes, numbers beyond 64 bits) is left to the plain way, which is
`market.price_choice`.
"""

cimport cython
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.tuple cimport PyTuple_GET_ITEM

from schemas.native cimport NEVER, i64, u64

from market.interval import DAY, QUARTER_HOUR
from market.portfolio import PriceChoice
from market.price import PricePoint, PriceRecord, PriceSource
from market.price_choice import OVERRIDE, REFERENCE_KEPT, ChosenPrice, Reference
from processors.holdings.protocol import PRICED, STALE

cdef object new_price = ChosenPrice._make, new_reference = Reference._make
cdef object MID = PriceChoice.MID, SIDE = PriceChoice.SIDE, MARK = PriceChoice.MARK, LAST = PriceChoice.LAST
cdef dict NAMES = {choice: choice.value for choice in PriceChoice}
cdef i64 A_DAY = DAY, A_QUARTER_HOUR = QUARTER_HOUR, KEPT = REFERENCE_KEPT
cdef object OPEN_24H = "open_24h", OVERRIDDEN = OVERRIDE, WORD = (1 << 64) - 1
cdef int A_PRICE = PRICED, A_STALE_ONE = STALE

cdef Py_ssize_t BID, ASK, LAST_PRICE, MARK_PRICE, CLOSE_PRICE, PREVIOUS_CLOSE, OPEN, SOURCE_24H
BID, ASK, LAST_PRICE, MARK_PRICE, CLOSE_PRICE, PREVIOUS_CLOSE, OPEN, SOURCE_24H = map(
    PriceRecord._fields.index, ("bid", "ask", "last", "mark_price", "close", "previous_close", "open_24h", "source_24h")
)
cdef Py_ssize_t PRICE = PricePoint._fields.index("price"), SOURCE = PricePoint._fields.index("source")
cdef Py_ssize_t CHANNEL, EXCHANGE_TIME, RECEIVED_AT
CHANNEL, EXCHANGE_TIME, RECEIVED_AT = map(PriceSource._fields.index, ("channel", "exchange_time", "received_at"))


class _Unusual(Exception):
    """Not for this module."""


cdef class Finder:
    """Finds what stands in columns (`processors.valuing.columns`), at a time; `plain` finds what this does not."""

    cdef dict board
    cdef object plain

    def __cinit__(self, dict board, plain):
        self.board, self.plain = board, plain

    def __call__(self, key, i64 now):
        return self.find(key, now)

    def refresh(self, dict numbers, instruments, dict known, i64 now, columns):
        """As `Columns.refresh` in plain Python; `numbers` and `known` are its own, `columns` the prices of its holdings."""
        cdef u64[::1] low = columns.low, high = columns.high
        cdef unsigned char[::1] flags = columns.flags
        cdef i64[::1] times = columns.times
        cdef Py_ssize_t place
        cdef list changes = []
        for instrument in numbers if instruments is None else instruments:
            for key, number in (<dict>numbers[instrument]).items():
                before, found = known[number], self.find(key, now)
                if found is before or found == before:
                    continue
                known[number] = found
                changes.append((number, key, before, found))
                place = number
                if found is None:
                    low[place], high[place], flags[place], times[place] = 0, 0, 0, NEVER
                else:
                    put_price(item(found, 0), &low[place], &high[place])
                    flags[place] = A_PRICE | (A_STALE_ONE if self.is_stale(found) else 0)
                    times[place] = self.time_of(found)
        return changes

    cdef object find(self, key, i64 now):
        raise NotImplementedError

    cdef i64 time_of(self, found) except? -1:
        return 0

    cdef bint is_stale(self, found) except -1:
        return False


@cython.final
cdef class Prices(Finder):
    """The prices of choices (`processors.valuing.columns.Choice`)."""

    cdef object find(self, choice, i64 now):
        instrument, choices, stale_after, is_long, override = <tuple>choice
        record = self.board.get(instrument)
        if record is None or override is not None or type(record) is not PriceRecord:
            return self.plain(choice, now)
        try:
            found = fresh_price(record, <tuple>choices, now, number(stale_after), is_long)
        except _Unusual:
            found = None
        return self.plain(choice, now) if found is None else found

    cdef i64 time_of(self, found) except? -1:
        return NEVER if item(found, 1) == OVERRIDDEN else item(found, 3)

    cdef bint is_stale(self, found) except -1:
        return item(found, 4)


@cython.final
cdef class References(Finder):
    """The references of instruments, which are as of no time."""

    cdef object find(self, instrument, i64 now):
        cdef i64 time
        record = self.board.get(instrument)
        if record is None:
            return None
        if type(record) is not PriceRecord or item(record, PREVIOUS_CLOSE) is not None:
            return self.plain(instrument, now)
        price, source = item(record, OPEN), item(record, SOURCE_24H)
        if price is None or source is None:
            return None
        try:
            time = known_at(source)
        except _Unusual:
            return self.plain(instrument, now)
        if now - time > KEPT or time < A_DAY:
            return self.plain(instrument, now)
        time -= A_DAY
        return new_reference((price, time - time % A_QUARTER_HOUR, OPEN_24H))


cdef int put_price(price, u64* low, u64* high) except -1:
    cdef int overflow = 0
    cdef i64 short = PyLong_AsLongLongAndOverflow(price, &overflow)
    if overflow:
        low[0], high[0] = price & WORD, price >> 64
    else:
        low[0], high[0] = <u64>short, 0
    return 0


cdef object fresh_price(record, tuple choices, i64 now, i64 stale_after, bint is_long):
    """The first price that is fresh, unless one that is not comes before it; None for neither."""
    cdef i64 time
    for choice in choices:
        if choice is MID:
            point = item(record, BID)
            if point is None or item(record, ASK) is None:
                continue
            price = mean(item(point, PRICE), item(item(record, ASK), PRICE))
        else:
            if choice is SIDE:
                point = item(record, BID if is_long else ASK)
            elif choice is MARK:
                point = item(record, MARK_PRICE)
            else:
                point = item(record, LAST_PRICE if choice is LAST else CLOSE_PRICE)
            if point is None:
                continue
            price = item(point, PRICE)
        source = item(point, SOURCE)
        time = known_at(source)
        if now - time > stale_after:
            return None
        return new_price((price, NAMES[choice], item(source, CHANNEL), time, False))
    return None


cdef object mean(one, other):
    """As `PriceRecord.mid` has it."""
    cdef i64 total = number(one), addend = number(other)
    if total < 0 or addend < 0 or total > 1 << 61 or addend > 1 << 61:
        raise _Unusual
    total += addend
    return (total >> 1) + (total & (total >> 1) & 1)


cdef i64 known_at(source) except? -1:
    """As `PriceSource.known_at` has it."""
    cdef i64 received = number(item(source, RECEIVED_AT))
    exchange = item(source, EXCHANGE_TIME)
    return received if exchange is None else min(received, number(exchange))


cdef inline i64 number(value) except? -1:
    cdef int overflow = 0
    cdef i64 found
    if not PyLong_CheckExact(value):
        raise _Unusual
    found = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        raise _Unusual
    return found


cdef inline object item(values, Py_ssize_t index):
    """Field of a NamedTuple whose class is known."""
    return <object>PyTuple_GET_ITEM(values, index)
