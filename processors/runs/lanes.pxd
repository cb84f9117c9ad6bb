# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""An instrument's run in C: its window, and the sums of `market.candle.Candle` so far."""

from libc.string cimport memcpy

from processors.native cimport cp, i64, i128, u64, word_at
from processors.runs.records cimport Body

cdef enum:
    LONGEST_NAME = 97  # of an instrument, as market.instrument has it
    ID_ROOM = 24


cdef struct Point:
    i64 time
    i64 sequence
    i128 price
    int id_length
    unsigned char id[ID_ROOM]


cdef struct Lane:
    u64 hash
    int name_length
    int index  # in the folder's names
    bint armed
    bint touched
    i64 applied_offset, last_id, floor_id, begin, end, closes_at, latest
    i64 armed_offset, source_offset
    i64 trade_count, received_at
    i128 high, low, volume, amount, taker_buy
    bint sides_known
    Point first
    Point last
    Lane* before  # in the order first touched
    Lane* after
    int spelled_size
    unsigned char spelled[2 + LONGEST_NAME]  # the name as Avro writes it: behind its length
    unsigned char* name


cdef inline void spell(Lane* lane, cp name, int length) noexcept nogil:
    cdef int size = 1
    lane.spelled[0] = <unsigned char>(2 * length)
    if length >= 64:
        size = 2
        lane.spelled[0] = <unsigned char>(2 * length & 127 | 128)
        lane.spelled[1] = <unsigned char>(length >> 6)
    lane.name = lane.spelled + size
    lane.name_length, lane.spelled_size = length, size + length
    memcpy(lane.name, name, length)


cdef inline void set_point(Point* point, Body* body, cp trade_id, int length) noexcept nogil:
    point.time = body.event_time
    point.sequence = body.sequence
    point.price = body.price
    point.id_length = length
    if 8 <= length <= 16:  # most are, and this is no call
        memcpy(point.id, trade_id, 8)
        memcpy(point.id + length - 8, trade_id + length - 8, 8)
    else:
        memcpy(point.id, trade_id, length)


cdef inline int place(Body* body, Point* point) noexcept nogil:
    """Below zero when the trade stands before the point in the order, above when after, zero at a tie."""
    if body.event_time != point.time:
        return -1 if body.event_time < point.time else 1
    return (body.sequence > point.sequence) - (body.sequence < point.sequence)


cdef inline bint merge_trade(Lane* lane, Body* body) noexcept nogil:
    """Add a trade to the run. False, and nothing changed, when its place in the order is in doubt."""
    cdef int after_first, after_last
    if lane.trade_count == 0:
        set_point(&lane.first, body, body.first_id, body.first_length)
        set_point(&lane.last, body, body.last_id, body.last_length)
        lane.high = lane.low = body.price
        lane.sides_known = True
    else:
        after_first = place(body, &lane.first)
        after_last = place(body, &lane.last)
        if after_first == 0 or after_last == 0:
            return False
        if after_last > 0:
            set_point(&lane.last, body, body.last_id, body.last_length)
        elif after_first < 0:
            set_point(&lane.first, body, body.first_id, body.first_length)
        if body.price > lane.high:
            lane.high = body.price
        elif body.price < lane.low:
            lane.low = body.price
    lane.volume += body.size
    lane.amount += body.amount
    if body.side == 0:
        lane.taker_buy += body.size
    elif body.side < 0:
        lane.sides_known = False
    lane.trade_count += body.count
    if body.received_at > lane.received_at:
        lane.received_at = body.received_at
    return True


cdef inline void empty_run(Lane* lane) noexcept nogil:
    lane.armed_offset = lane.applied_offset
    lane.source_offset = -1
    lane.trade_count = 0
    lane.received_at = 0
    lane.volume = lane.amount = lane.taker_buy = 0


cdef inline u64 hash_of(cp p, i64 length) noexcept nogil:
    cdef u64 value = <u64>length * 0x9E3779B97F4A7C15u
    cdef cp last = p + length - 8
    if length < 8:
        while length > 0:
            length -= 1
            value = (value ^ p[length]) * 0xD6E8FEB86659FD93u
    else:
        while p < last:
            value = mixed(value, word_at(p))
            p += 8
        value = mixed(value, word_at(last))
    return value ^ value >> 32


cdef inline u64 mixed(u64 value, u64 word) noexcept nogil:
    value = (value ^ word) * 0xD6E8FEB86659FD93u
    return value ^ value >> 32
