# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`market.price_change.PriceState` in C, and its way to Avro: the layouts of `price_changed.avsc` and `processors.states`."""

from processors.encoding.writing cimport LONGEST_NUMBER, Output, reserve, write_byte, write_bytes, write_decimal, write_varint
from processors.rounding cimport divide_half_even
from processors.runs.entries cimport Entry
from schemas.native cimport i64, i128
from schemas.trade_reading cimport Body

cdef enum:
    ROOM_FOR_PRICE = 12 * LONGEST_NUMBER  # for all numbers of an event or a state


cdef struct Threshold:  # below zero where there is none
    i128 absolute, percent


cdef struct Price:  # of an instrument; an exchange time of zero is none
    Entry entry  # touched when the state changed
    int place  # of its events in the outbox
    Threshold threshold
    bint is_known  # once there was a trade
    i64 event_time, sequence, exchange_time, received_at
    i64 told_at, told_event_time, pending
    i128 price, told_price


cdef inline bint is_later(const Price* price, const Body* body) noexcept nogil:
    """Whether a trade is later than the last one in the order."""
    if not price.is_known or body.event_time != price.event_time:
        return not price.is_known or body.event_time > price.event_time
    return body.sequence > price.sequence


cdef inline i128 percent_of(i128 change, i128 old_price, i128 per_cent) noexcept nogil:
    """Per cent of the old price; `per_cent` is a hundred at scale 12, its product with the change must not overflow."""
    cdef i128 found = divide_half_even((-change if change < 0 else change) * per_cent, old_price)
    return -found if change < 0 else found


cdef inline bint is_reached(const Threshold* threshold, i128 change, i128 percent) noexcept nogil:
    if threshold.absolute < 0 and threshold.percent < 0:
        return True
    if threshold.absolute >= 0 and (change >= threshold.absolute or change <= -threshold.absolute):
        return True
    return threshold.percent >= 0 and (percent >= threshold.percent or percent <= -threshold.percent)


cdef inline int write_event(
    Output* out, const Price* price, i128 old_price, i64 changes, i64 received_at, bytes source, i64 offset, i128 per_cent
) except -1:
    """Body of the event that the price told last is this one. The source (topic and partition) comes as Avro has it."""
    cdef i128 change = price.price - old_price
    cdef i128 percent = percent_of(change, old_price, per_cent)
    reserve(out, price.entry.spelled_size + len(source) + ROOM_FOR_PRICE)
    write_bytes(out, price.entry.spelled, price.entry.spelled_size)
    write_decimal(out, old_price)
    write_decimal(out, price.price)
    write_decimal(out, change)
    write_decimal(out, percent)
    write_varint(out, changes)
    write_byte(out, is_reached(&price.threshold, change, percent))
    write_optional_time(out, price.exchange_time)
    write_varint(out, received_at)
    write_bytes(out, <const char*>source, len(source))
    write_varint(out, offset)
    return 0


cdef inline int write_state(Output* out, const Price* price) except -1:
    reserve(out, ROOM_FOR_PRICE)
    write_varint(out, price.is_known)
    if price.is_known:
        write_varint(out, price.event_time)
    write_varint(out, price.is_known)
    if price.is_known:
        write_varint(out, price.sequence)
    write_decimal(out, price.price)
    write_optional_time(out, price.exchange_time)
    write_varint(out, price.received_at)
    write_decimal(out, price.told_price)
    write_varint(out, price.told_at)
    write_varint(out, price.told_event_time)
    write_varint(out, price.pending)
    return 0


cdef inline void write_optional_time(Output* out, i64 time) noexcept:
    write_varint(out, time != 0)
    if time:
        write_varint(out, time)
