# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Candles in C to Avro: the layouts of `candle.avsc` and `processors.states`, as `processors.encoding` writes them."""

from processors.encoding.writing cimport (
    LONGEST_NUMBER,
    Output,
    reserve,
    write_byte,
    write_bytes,
    write_decimal,
    write_digits,
    write_varint,
)
from processors.rounding cimport divide_half_even
from processors.runs.series cimport OpenCandle
from processors.runs.sums cimport Point, Sums
from schemas.native cimport i64
from schemas.trade_reading cimport ID_ROOM

cdef enum:
    NEW, UPDATE, CLOSE  # as the enum of `candle.avsc` has them
    SEPARATOR = 124  # of the parts of a key: |
    ROOM_FOR_CANDLE = 20 * LONGEST_NUMBER + 2 * ID_ROOM


cdef struct Event:
    int kind
    i64 close_time, source_offset
    bint complete, gap


cdef inline int write_key(
    Output* out, const OpenCandle* held, const void* instrument, int instrument_size, bytes interval
) except -1:
    """Key of a candle event."""
    reserve(out, instrument_size + len(interval) + LONGEST_NUMBER + 2)
    write_bytes(out, instrument, instrument_size)
    write_byte(out, SEPARATOR)
    write_bytes(out, <const char*>interval, len(interval))
    write_byte(out, SEPARATOR)
    write_digits(out, held.open_time)
    return 0


cdef inline int write_event(
    Output* out,
    const Event* event,
    const OpenCandle* held,
    const void* instrument,
    int instrument_size,
    bytes interval,
    bytes source,
) except -1:
    """Body of a candle event. Instrument, interval and source (its topic and partition) come as Avro has them."""
    cdef const Sums* sums = &held.sums
    cdef bint is_closed = event.kind == CLOSE
    reserve(out, instrument_size + len(interval) + len(source) + ROOM_FOR_CANDLE)
    write_bytes(out, instrument, instrument_size)
    write_bytes(out, <const char*>interval, len(interval))
    write_varint(out, held.open_time)
    write_varint(out, event.close_time)
    write_varint(out, event.kind)
    write_varint(out, is_closed)  # revision
    write_decimal(out, sums.first.price)
    write_decimal(out, sums.high)
    write_decimal(out, sums.low)
    write_decimal(out, sums.last.price)
    write_decimal(out, sums.volume)
    write_decimal(out, sums.amount)
    write_decimal(out, divide_half_even(sums.amount, sums.volume))  # vwap
    write_taker_buy(out, sums)
    write_varint(out, sums.trade_count)
    write_id(out, &sums.first)
    write_id(out, &sums.last)
    write_byte(out, is_closed)
    write_byte(out, event.complete)
    write_byte(out, event.gap)
    write_varint(out, sums.last.time)
    write_varint(out, sums.received_at)
    write_bytes(out, <const char*>source, len(source))
    write_varint(out, event.source_offset)
    return 0


cdef inline int write_sums(Output* out, const Sums* sums) except -1:
    """A candle in stored state."""
    reserve(out, ROOM_FOR_CANDLE)
    write_point(out, &sums.first)
    write_point(out, &sums.last)
    write_decimal(out, sums.high)
    write_decimal(out, sums.low)
    write_decimal(out, sums.volume)
    write_decimal(out, sums.amount)
    write_taker_buy(out, sums)
    write_varint(out, sums.trade_count)
    write_varint(out, sums.received_at)
    return 0


cdef inline void write_point(Output* out, const Point* point) noexcept:
    write_varint(out, point.time)
    write_varint(out, point.sequence)
    write_decimal(out, point.price)
    write_id(out, point)


cdef inline void write_id(Output* out, const Point* point) noexcept:
    write_varint(out, point.id_length)
    write_bytes(out, point.id, point.id_length)


cdef inline void write_taker_buy(Output* out, const Sums* sums) noexcept:
    write_varint(out, sums.sides_known)
    if sums.sides_known:
        write_decimal(out, sums.taker_buy)
