# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled encoders of candle events and candle state: one pass over the objects of `market`, straight to Avro.

They know the layouts of `candle.avsc` and `processors.states.candle_schemas`, and the plain types that those classes are declared with.
Whatever is not quite that (a number beyond 128 bits or its field, a subclass, a text that is no Unicode) is left to
`processors.encoding.plain`, which encodes it or says what is wrong with it.
"""

from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.tuple cimport PyTuple_GET_ITEM
from cpython.unicode cimport PyUnicode_CheckExact

from processors.encoding.writing cimport (
    LONGEST_NUMBER,
    Output,
    begin,
    begin_block,
    end,
    end_block,
    reserve,
    whole,
    write_byte,
    write_bytes,
    write_decimal,
    write_varint,
)
from schemas.native cimport LARGEST, TEN_TO_38, i64, i128

from market.candle import Candle, CandleEvent, CandleEventKind, TradePoint
from market.candle_series import ClosedCandle, OpenCandle, SeriesState
from market.gaps import Gap
from processors.encoding import plain

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef object NEW, UPDATE, CLOSE, CORRECTION
NEW, UPDATE, CLOSE, CORRECTION = CandleEventKind


class Unusual(Exception):
    """Not what this module encodes."""


ctypedef int (*Put)(Output*, object) except -1


cdef object encoded(Put put, value, str plain_name):
    cdef Output out
    begin(&out)
    try:
        put(&out, value)
        return whole(&out)
    except Exception:  # whatever is not as it was expected
        return getattr(plain, plain_name)(value)
    finally:
        end(&out)


def encode_candle(event):
    """As `plain.encode_candle`."""
    return encoded(put_event, event, "encode_candle")


def encode_series(state):
    """As `plain.encode_series`."""
    return encoded(put_series, state, "encode_series")


def encode_closed(closed):
    """As `plain.encode_closed`."""
    return encoded(put_closed, closed, "encode_closed")


# parts of the candle state, for those who write the rest of it themselves


def encode_text(str text):
    """A string."""
    return part(put_text, text)


def encode_times(dict times):
    """A map of times."""
    return part(put_times, times)


def encode_ids(seen):
    """What is remembered of trade ids, but for the last one."""
    return part(put_ids, seen)


def encode_gaps(gaps):
    """Known gaps."""
    return part(put_known_gaps, gaps)


cdef bytes part(Put put, value):
    cdef Output out
    begin(&out)
    try:
        put(&out, value)
        return whole(&out)
    finally:
        end(&out)


# records


cdef int put_event(Output* out, event) except -1:
    cdef int i
    expect(event, CandleEvent)
    put_text(out, item(event, 0))  # instrument
    put_text(out, item(event, 1))  # interval
    put_long(out, item(event, 2))  # open_time
    put_long(out, item(event, 3))  # close_time
    put_kind(out, item(event, 4))
    put_long(out, item(event, 5))  # revision
    for i in range(6, 11):  # open, high, low, close, volume
        put_figure(out, item(event, i))
    put_amount(out, item(event, 11))
    put_figure(out, item(event, 12))  # vwap
    put_optional_figure(out, item(event, 13))  # taker_buy_volume
    put_long(out, item(event, 14))  # trade_count
    put_text(out, item(event, 15))  # first_trade_id
    put_text(out, item(event, 16))  # last_trade_id
    for i in range(17, 20):  # is_closed, complete, gap
        put_bool(out, item(event, i))
    put_long(out, item(event, 20))  # last_trade_time
    put_long(out, item(event, 21))  # received_at
    put_text(out, item(event, 22))  # source_topic
    put_long(out, item(event, 23))  # source_partition
    put_long(out, item(event, 24))  # source_offset
    return 0


cdef int put_series(Output* out, state) except -1:
    expect(state, SeriesState)
    put_long(out, state.latest)
    put_long(out, state.latest_trade)
    put_times(out, state.observed_from)
    put_long(out, state.seen.last)
    put_ids(out, state.seen)
    put_open(out, state.open)
    put_named_ranges(out, state.closed)
    return put_known_gaps(out, state.gaps)


cdef int put_ids(Output* out, seen) except -1:
    put_long(out, seen.floor)
    put_ranges(out, seen.holes)
    return put_longs(out, seen.hashes)


cdef int put_known_gaps(Output* out, gaps) except -1:
    put_gaps(out, gaps.known)
    return put_long(out, gaps.floor)


cdef int put_closed(Output* out, closed) except -1:
    expect(closed, ClosedCandle)
    put_candle(out, item(closed, 0))
    put_long(out, item(closed, 1))  # revision
    put_bool(out, item(closed, 3))  # complete
    put_bool(out, item(closed, 4))  # gap
    return 0


cdef int put_candle(Output* out, candle) except -1:
    cdef int i
    expect(candle, Candle)
    put_point(out, item(candle, 0))  # first
    put_point(out, item(candle, 1))  # last
    for i in range(2, 5):  # high, low, volume
        put_figure(out, item(candle, i))
    put_amount(out, item(candle, 5))
    put_optional_figure(out, item(candle, 6))  # taker_buy_volume
    put_long(out, item(candle, 7))  # trade_count
    put_long(out, item(candle, 8))  # received_at
    return 0


cdef int put_point(Output* out, point) except -1:
    expect(point, TradePoint)
    put_long(out, item(point, 0))  # event_time
    put_long(out, item(point, 1))  # sequence
    put_figure(out, item(point, 2))  # price
    put_text(out, item(point, 3))  # trade_id
    return 0


cdef int put_open(Output* out, dict held) except -1:
    begin_block(out, len(held))
    for key, value in held.items():
        interval, open_time = key
        expect(value, OpenCandle)
        put_text(out, interval)
        put_long(out, open_time)
        put_long(out, item(value, 1))  # source_offset
        put_candle(out, item(value, 0))
    return end_block(out)


cdef int put_times(Output* out, times) except -1:
    begin_block(out, len(times))
    for name, time in times.items():
        put_text(out, name)
        put_long(out, time)
    return end_block(out)


cdef int put_named_ranges(Output* out, dict ranges) except -1:
    begin_block(out, len(ranges))
    for name, (first, last) in ranges.items():
        put_text(out, name)
        put_long(out, first)
        put_long(out, last)
    return end_block(out)


cdef int put_ranges(Output* out, list ranges) except -1:
    begin_block(out, len(ranges))
    for first, last in ranges:
        put_long(out, first)
        put_long(out, last)
    return end_block(out)


cdef int put_longs(Output* out, list values) except -1:
    begin_block(out, len(values))
    for value in values:
        put_long(out, value)
    return end_block(out)


cdef int put_gaps(Output* out, list gaps) except -1:
    begin_block(out, len(gaps))
    for gap in gaps:
        expect(gap, Gap)
        put_long(out, item(gap, 0))  # begin
        put_long(out, item(gap, 1))  # end
        put_bool(out, item(gap, 2))  # healed
    return end_block(out)


# fields


cdef inline object item(object values, Py_ssize_t index):
    """Field of a NamedTuple whose class was checked."""
    return <object>PyTuple_GET_ITEM(values, index)


cdef inline int expect(object value, object kind) except -1:
    if type(value) is not kind:
        raise Unusual
    return 0


cdef inline int put_long(Output* out, object value) except -1:
    cdef int overflow = 0
    cdef i64 number
    if not PyLong_CheckExact(value):
        raise Unusual
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        raise Unusual
    reserve(out, LONGEST_NUMBER)
    write_varint(out, number)
    return 0


cdef inline int put_bool(Output* out, object value) except -1:
    if value is not True and value is not False:
        raise Unusual
    reserve(out, 1)
    write_byte(out, value is True)
    return 0


cdef inline int put_kind(Output* out, object kind) except -1:
    reserve(out, 1)
    if kind is UPDATE:
        write_varint(out, 1)
    elif kind is NEW:
        write_varint(out, 0)
    elif kind is CLOSE:
        write_varint(out, 2)
    elif kind is CORRECTION:
        write_varint(out, 3)
    else:
        raise Unusual
    return 0


cdef inline int put_text(Output* out, object text) except -1:
    cdef Py_ssize_t size = 0
    cdef const char* data
    if not PyUnicode_CheckExact(text):
        raise Unusual
    data = PyUnicode_AsUTF8AndSize(text, &size)
    reserve(out, size + LONGEST_NUMBER)
    write_varint(out, size)
    write_bytes(out, data, size)
    return 0


cdef inline int put_optional_figure(Output* out, object value) except -1:
    reserve(out, 1)
    write_varint(out, value is not None)
    return 0 if value is None else put_figure(out, value)


cdef inline int put_figure(Output* out, object value) except -1:
    """A decimal of at most 38 digits."""
    return put_decimal(out, value, TEN_TO_38)


cdef inline int put_amount(Output* out, object value) except -1:
    """A decimal of at most 50 digits; those near or beyond 128 bits are unusual."""
    return put_decimal(out, value, LARGEST)


cdef inline int put_decimal(Output* out, object value, i128 limit) except -1:
    cdef int overflow = 0
    cdef i64 small
    cdef i128 wide
    if not PyLong_CheckExact(value):
        raise Unusual
    reserve(out, LONGEST_NUMBER)
    small = PyLong_AsLongLongAndOverflow(value, &overflow)
    if not overflow:
        write_decimal(out, small)
        return 0
    wide = value  # OverflowError beyond 128 bits
    if wide >= limit or wide <= -limit:
        raise Unusual
    write_decimal(out, wide)
    return 0
