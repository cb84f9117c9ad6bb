# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`market.candle.Candle` in C, and its merge. Sums are 128-bit integers; who merges makes sure that they do not wrap."""

from libc.string cimport memcmp, memcpy

from schemas.native cimport cp, i64, i128
from schemas.trade_reading cimport ID_ROOM, Body


cdef struct Point:
    i64 time
    i64 sequence
    i128 price
    int id_length
    unsigned char id[ID_ROOM]


cdef struct Sums:
    Point first
    Point last
    i128 high, low, volume, amount, taker_buy
    i64 trade_count, received_at
    bint sides_known


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


cdef inline int order(const Point* a, const Point* b) noexcept nogil:
    """As tuples of time, sequence, price and id compare: below zero when `a` comes first, zero when they are equal."""
    cdef int found
    if a.time != b.time:
        return -1 if a.time < b.time else 1
    if a.sequence != b.sequence:
        return -1 if a.sequence < b.sequence else 1
    if a.price != b.price:
        return -1 if a.price < b.price else 1
    found = memcmp(a.id, b.id, min(a.id_length, b.id_length))
    return found if found else a.id_length - b.id_length


cdef inline void set_sums(Sums* sums, Body* body) noexcept nogil:
    """The candle of one trade."""
    set_point(&sums.first, body, body.first_id, body.first_length)
    set_point(&sums.last, body, body.last_id, body.last_length)
    sums.high = sums.low = body.price
    sums.volume, sums.amount = body.size, body.amount
    sums.sides_known = body.side >= 0
    sums.taker_buy = body.size if body.side == 0 else 0
    sums.trade_count, sums.received_at = body.count, body.received_at


cdef inline bint merge_trade(Sums* sums, Body* body) noexcept nogil:
    """Add a trade. False, and nothing changed, when its place in the order is in doubt."""
    cdef int after_first, after_last
    if sums.trade_count == 0:
        set_sums(sums, body)
        return True
    after_first = place(body, &sums.first)
    after_last = place(body, &sums.last)
    if after_first == 0 or after_last == 0:
        return False
    if after_last > 0:
        set_point(&sums.last, body, body.last_id, body.last_length)
    elif after_first < 0:
        set_point(&sums.first, body, body.first_id, body.first_length)
    if body.price > sums.high:
        sums.high = body.price
    elif body.price < sums.low:
        sums.low = body.price
    sums.volume += body.size
    sums.amount += body.amount
    if body.side == 0:
        sums.taker_buy += body.size
    elif body.side < 0:
        sums.sides_known = False
    sums.trade_count += body.count
    if body.received_at > sums.received_at:
        sums.received_at = body.received_at
    return True


cdef inline void merge_sums(Sums* sums, const Sums* more) noexcept nogil:
    """Add what another candle holds, as `market.candle.merge` does."""
    if order(&more.first, &sums.first) < 0:
        sums.first = more.first
    if order(&more.last, &sums.last) > 0:
        sums.last = more.last
    sums.high = max(sums.high, more.high)
    sums.low = min(sums.low, more.low)
    sums.volume += more.volume
    sums.amount += more.amount
    sums.sides_known = sums.sides_known and more.sides_known
    sums.taker_buy += more.taker_buy
    sums.trade_count += more.trade_count
    sums.received_at = max(sums.received_at, more.received_at)
