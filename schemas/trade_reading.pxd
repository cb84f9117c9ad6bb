# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Trades and time marks as `trade.avsc` and `time_mark.avsc` lay them out, checked as `schemas.checks` would.

What these functions refuse may still be valid: they know one way to write a record, that of our own codec.
"""

from schemas.native cimport LARGEST, cp, i64, i128, u64, word_at
from schemas.reading cimport is_same, read_figure, read_id, read_number, read_varint

cdef enum:
    ID_ROOM = 24  # for the first and last id of a trade in a run
    NO_NUMBER = -1

cdef struct Rules:
    i64 begin_of_times, end_of_times, skew


cdef struct Body:  # a decoded trade; a time of zero is none
    i64 number  # of its id; NO_NUMBER where it has none, or a first or last id for which a run has no room
    i64 sequence, event_time, exchange_time, received_at, published_at, count
    i128 price, size, amount
    int side
    cp trade_id
    cp first_id
    cp last_id
    int id_length, first_length, last_length


cdef struct Mark:  # a decoded time mark
    i64 time, published_at


cdef inline bint read_side(cp* at, cp end, int* out) noexcept nogil:
    """Union of null and the enum: -1, 0 (buy) or 1 (sell)."""
    cdef cp p = at[0]
    if p >= end:
        return False
    if p[0] == 0:
        at[0] = p + 1
        out[0] = -1
        return True
    if end - p < 2 or p[0] != 2 or p[1] & ~2:
        return False
    out[0] = p[1] >> 1
    at[0] = p + 2
    return True


cdef inline bint read_time(cp* at, cp end, const Rules* rules, i64* out) noexcept nogil:
    """A believable time. It takes eight bytes, seven bits in each, the lowest first."""
    cdef u64 bits
    if end - at[0] < 8:
        return False
    bits = word_at(at[0])
    at[0] += 8
    if bits & 0x8080808080808080u != 0x0080808080808080u or bits & 1:
        return False
    bits &= 0x7F7F7F7F7F7F7F7Fu
    bits = (bits & 0x7F007F007F007F00u) >> 1 | (bits & 0x007F007F007F007Fu)
    bits = (bits & 0x3FFF00003FFF0000u) >> 2 | (bits & 0x00003FFF00003FFFu)
    bits = (bits & 0x0FFFFFFF00000000u) >> 4 | (bits & 0x000000000FFFFFFFu)
    out[0] = <i64>(bits >> 1)
    return out[0] >= rules.begin_of_times and out[0] < rules.end_of_times


cdef inline bint read_optional_time(cp* at, cp end, const Rules* rules, i64* out) noexcept nogil:
    """Union of null (0) and a believable time."""
    cdef unsigned char index
    if at[0] >= end:
        return False
    index = at[0][0]
    at[0] += 1
    if index == 0:
        out[0] = 0
        return True
    return index == 2 and read_time(at, end, rules, out)


cdef inline bint read_null(cp* at, cp end) noexcept nogil:
    """A union that is null (0)."""
    at[0] += 1
    return at[0] <= end and (at[0] - 1)[0] == 0


cdef inline i64 limit_after(i64 timestamp, const Rules* rules) noexcept nogil:
    """The latest time (microseconds) of a record appended at `timestamp` (milliseconds), whatever that is, without overflow."""
    if timestamp < 0:
        timestamp = 0
    elif timestamp > rules.end_of_times:
        timestamp = rules.end_of_times
    return timestamp * 1000 + rules.skew


cdef inline bint multiply(i128 a, i128 b, i128* out) noexcept nogil:
    """Product of two values above zero."""
    if ((a | b) >> 63) != 0 and a > LARGEST / b:
        return False
    out[0] = a * b
    return True


cdef inline bint read_own_id_twice(cp* at, cp end, Body* out) noexcept nogil:
    """The first and last id, where they are the trade's own: it stands for one execution."""
    cdef int size = 1 + out.id_length
    cdef cp p = at[0], sized = out.trade_id - 1
    if end - p < 2 * size or not is_same(p, sized, size) or not is_same(p + size, sized, size):
        return False
    out.first_id = out.last_id = out.trade_id
    out.first_length = out.last_length = out.id_length
    at[0] = p + 2 * size
    return True


cdef inline bint read_first_and_last_id(cp* at, cp end, Body* out) noexcept nogil:
    return read_id(at, end, &out.first_id, &out.first_length) and read_id(at, end, &out.last_id, &out.last_length)


cdef inline bint read_trade(cp p, cp end, const Rules* rules, i64 limit, Body* out) noexcept nogil:
    """Decode and check a trade's fields behind its instrument, but for its place in the window."""
    cdef cp begin = p
    out.trade_id = p + 1  # its length takes one byte
    if read_number(&p, end, &out.number):
        out.id_length = <int>(p - out.trade_id)
    else:
        p, out.number = begin, NO_NUMBER
        if not read_id(&p, end, &out.trade_id, &out.id_length):
            return False
    if not (
        read_varint(&p, end, &out.sequence)
        and read_figure(&p, end, &out.price)
        and read_figure(&p, end, &out.size)
        and read_side(&p, end, &out.side)
        and read_optional_time(&p, end, rules, &out.exchange_time)
        and read_time(&p, end, rules, &out.received_at)
        and (read_own_id_twice(&p, end, out) or read_first_and_last_id(&p, end, out))
        and read_varint(&p, end, &out.count)
        and read_optional_time(&p, end, rules, &out.published_at)
        and read_null(&p, end)  # the origin: what did not come by a stream is rare
    ):
        return False
    if out.first_length > ID_ROOM or out.last_length > ID_ROOM:
        out.number = NO_NUMBER
    out.event_time = out.exchange_time if out.exchange_time else out.received_at
    return (
        p == end
        and out.count >= 1
        and out.count <= 0x7FFFFFFF
        and out.received_at <= limit
        and out.exchange_time <= out.received_at + rules.skew
        and multiply(out.price, out.size, &out.amount)
    )


cdef inline bint read_mark(cp p, cp end, const Rules* rules, i64 limit, Mark* out) noexcept nogil:
    """Decode and check a time mark's fields behind its instrument, but for its place in the window."""
    return (
        read_time(&p, end, rules, &out.time)
        and read_optional_time(&p, end, rules, &out.published_at)
        and p == end
        and out.time <= limit
    )
