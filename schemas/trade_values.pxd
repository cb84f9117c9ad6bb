# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A trade as a record of its topic: key, value behind the header of its schema, and when the broker appended it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE

from schemas.native cimport cp, i64
from schemas.reading cimport is_same, read_size
from schemas.trade_reading cimport Body, Rules, limit_after, read_trade

cdef enum:
    LONGEST_INSTRUMENT = 97


cdef inline bint read_value(object key, object value, bytes header, const Rules* rules, i64 timestamp_ms, Body* out):
    """Decode and check a trade's value; its texts lie within `value`. False for all that must be read as others are."""
    cdef cp p, end
    cdef i64 length
    if not PyBytes_CheckExact(key) or not PyBytes_CheckExact(value):
        return False
    p, length = <cp>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(header)
    end = p + PyBytes_GET_SIZE(value)
    if end - p < length or not is_same(p, <cp>PyBytes_AS_STRING(header), length):
        return False
    p += length
    return (
        read_size(&p, end, LONGEST_INSTRUMENT, &length)
        and length == PyBytes_GET_SIZE(key)
        and is_same(p, <cp>PyBytes_AS_STRING(key), length)
        and read_trade(p + length, end, rules, limit_after(timestamp_ms, rules), out)
    )
