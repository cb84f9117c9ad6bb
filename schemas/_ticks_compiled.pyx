# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Avro bodies of trades and quotes in C: the bytes of `schemas.tick_encoding`; what is unusual is left to the codec's writer."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.string cimport memcpy

from schemas.native cimport i64, leading_zeros, put_word, u64

from market.decimals import PRECISION
from market.errors import DataValidationError
from market.quote import Quote
from market.trade import Trade
from schemas.codec import encode_body
from schemas.primitives import encode_decimal

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object)
    bint PyUnicode_IS_COMPACT_ASCII(object)
    void* PyUnicode_1BYTE_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)

cdef enum:
    ROOM = 2048
    LONGEST_HEADER = 5  # of framed Avro
    LONGEST_TEXT = 200  # of five of them at most
    TRADE_FIELDS = 13
    QUOTE_FIELDS = 21

cdef object LIMIT = 10**PRECISION

ctypedef unsigned char* place


cdef inline void put_number(place* at, i64 value) noexcept:
    cdef u64 rest = (<u64>value << 1) ^ <u64>(value >> 63)
    cdef place p = at[0]
    while rest > 127:
        p[0] = rest & 127 | 128
        p += 1
        rest >>= 7
    p[0] = <unsigned char>rest
    at[0] = p + 1


cdef inline void put_byte(place* at, int byte) noexcept:
    at[0][0] = <unsigned char>byte
    at[0] += 1


cdef inline bint put_long(place* at, object value) except -1:
    cdef int overflow
    cdef i64 number
    if not PyLong_CheckExact(value):
        return False
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    put_number(at, number)
    return overflow == 0


cdef inline bint put_optional_long(place* at, object value) except -1:
    if value is None:
        put_byte(at, 0)
        return True
    put_byte(at, 2)
    return put_long(at, value)


cdef inline bint put_text(place* at, object text) except -1:
    cdef Py_ssize_t length
    if not PyUnicode_CheckExact(text) or not PyUnicode_IS_COMPACT_ASCII(text):
        return False
    length = PyUnicode_GET_LENGTH(text)
    if length > LONGEST_TEXT:
        return False
    put_number(at, length)
    memcpy(at[0], PyUnicode_1BYTE_DATA(text), length)
    at[0] += length
    return True


cdef inline bint put_figure(place* at, object value) except -1:
    cdef int overflow, length
    cdef i64 number
    cdef u64 magnitude
    if not PyLong_CheckExact(value):
        return False
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        return put_wide(at, value)
    magnitude = 0 - <u64>number if number < 0 else <u64>number
    length = (64 - leading_zeros(magnitude)) // 8 + 1 if magnitude else 1
    if length > 8:
        return put_wide(at, value)
    put_byte(at, 2 * length)
    put_word(at[0], <u64>number << (64 - 8 * length))
    at[0] += length
    return True


cdef bint put_wide(place* at, object value) except -1:
    cdef bytes encoded
    try:
        encoded = encode_decimal(value, LIMIT)
    except DataValidationError:
        return False
    memcpy(at[0], PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded))
    at[0] += PyBytes_GET_SIZE(encoded)
    return True


cdef inline bint put_optional_figure(place* at, object value) except -1:
    if value is None:
        put_byte(at, 0)
        return True
    put_byte(at, 2)
    return put_figure(at, value)


cdef inline bint put_side(place* at, object side) except -1:
    if side is None:
        put_byte(at, 0)
    elif side == "buy" or side == "sell":
        put_byte(at, 2)
        put_byte(at, 0 if side == "buy" else 2)
    else:
        return False
    return True


cdef inline bint put_count(place* at, object count) except -1:
    cdef int overflow
    cdef i64 number
    if not PyLong_CheckExact(count):
        return False
    number = PyLong_AsLongLongAndOverflow(count, &overflow)
    put_number(at, number)
    return overflow == 0 and number > 0 and number <= 0x7FFFFFFF


cdef inline void put_header(place* at, bytes header) noexcept:
    cdef Py_ssize_t length = min(PyBytes_GET_SIZE(header), LONGEST_HEADER)
    memcpy(at[0], PyBytes_AS_STRING(header), length)
    at[0] += length


cdef inline object item(object record, Py_ssize_t index):
    return <object>PyTuple_GET_ITEM(record, index)


def encode_trade(trade, bytes header=b"", published_at=None):
    """The body of a trade, behind a header. With `published_at` it has that. Raises DataValidationError for what does not fit."""
    cdef unsigned char room[ROOM]
    cdef place p = room
    put_header(&p, header)
    if (
        type(trade) is Trade
        and PyTuple_GET_SIZE(trade) == TRADE_FIELDS
        and item(trade, 12) is None  # what did not come by a stream is rare
        and put_text(&p, item(trade, 0))
        and put_text(&p, item(trade, 1))
        and put_long(&p, item(trade, 2))
        and put_figure(&p, item(trade, 3))
        and put_figure(&p, item(trade, 4))
        and put_side(&p, item(trade, 5))
        and put_optional_long(&p, item(trade, 6))
        and put_long(&p, item(trade, 7))
        and put_text(&p, item(trade, 8))
        and put_text(&p, item(trade, 9))
        and put_count(&p, item(trade, 10))
        and put_optional_long(&p, item(trade, 11) if published_at is None else published_at)
    ):
        put_byte(&p, 0)
        return PyBytes_FromStringAndSize(<char*>room, p - room)
    return header + encode_body(trade if published_at is None else trade._replace(published_at=published_at))


def encode_quote(quote, bytes header=b"", published_at=None):
    """The body of a quote, as `encode_trade`."""
    cdef unsigned char room[ROOM]
    cdef place p = room
    cdef Py_ssize_t index
    put_header(&p, header)
    if type(quote) is Quote and PyTuple_GET_SIZE(quote) == QUOTE_FIELDS and put_book_top(&p, quote):
        for index in range(7, 16):
            if item(quote, index) is not None:
                break  # tickers are few
            put_byte(&p, 0)
        else:
            if (
                item(quote, 19) is None
                and item(quote, 20) is None
                and put_optional_long(&p, item(quote, 16))
                and put_long(&p, item(quote, 17))
                and put_optional_long(&p, item(quote, 18) if published_at is None else published_at)
            ):
                put_byte(&p, 0)
                put_byte(&p, 0)
                return PyBytes_FromStringAndSize(<char*>room, p - room)
    return header + encode_body(quote if published_at is None else quote._replace(published_at=published_at))


cdef inline bint put_book_top(place* at, object quote) except -1:
    cdef Py_ssize_t index
    if not (put_text(at, item(quote, 0)) and put_text(at, item(quote, 1)) and put_optional_long(at, item(quote, 2))):
        return False
    for index in range(3, 7):
        if not put_optional_figure(at, item(quote, index)):
            return False
    return True
