# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled folder of runs: reads a batch's bytes in place, makes no Python object for a record that belongs to a run.

It takes in only what it can prove simple by the bytes alone: a trade or time mark of an armed instrument, encoded as our schemas
lay it out, that every check of `schemas.checks` would let pass, with numbers that 128 bits hold. All else goes to `other`, so
the full rules stand in one place, and this file may be cautious. `processors.runs.plain` draws the same line.

Sums are 128-bit integers and never wrap: a record that would overflow them is handed over.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from market.candle import Candle, TradePoint
from market.candle_series import LARGEST_RUN_VOLUME
from market.instrument import check_instrument
from market.run import Run
from processors.batch import RawRecord
from processors.runs.protocol import BEGIN_OF_TIMES, END_OF_TIMES, LONGEST_POINT_ID, CorruptRecords, RunCounts

ctypedef long long i64
ctypedef unsigned long long u64
ctypedef const unsigned char* cp

cdef extern from *:
    """
    #include <string.h>
    typedef __int128 tapeline_i128;
    #define TAPELINE_LARGEST ((tapeline_i128)(~(unsigned __int128)0 >> 1))
    #define TAPELINE_TEN_TO_38 ((tapeline_i128)10000000000000000000ULL * (tapeline_i128)10000000000000000000ULL)

    static inline unsigned long long tapeline_word(const unsigned char *p)
    {
        unsigned long long word;
        memcpy(&word, p, 8);
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        return word;
    }
    """
    u64 word_at "tapeline_word"(cp) noexcept nogil  # eight bytes, the lowest first
    u64 reversed "__builtin_bswap64"(u64) noexcept nogil
    ctypedef long long i128 "tapeline_i128"
    i128 LARGEST "TAPELINE_LARGEST"
    i128 TEN_TO_38 "TAPELINE_TEN_TO_38"

cdef enum:
    LONGEST_NAME = 97  # of an instrument, as market.instrument has it
    ID_ROOM = 24
    LONGEST_COUNT = 0x7FFFFFFF
    HEADER_SIZE = 5  # magic byte and schema id

assert ID_ROOM == LONGEST_POINT_ID

cdef i64 begin_of_times = BEGIN_OF_TIMES
cdef i64 end_of_times = END_OF_TIMES
cdef i128 volume_limit = LARGEST_RUN_VOLUME
cdef object new_tuple = tuple.__new__


cdef struct Point:
    i64 time
    i64 sequence
    i128 price
    int id_length
    unsigned char id[ID_ROOM]


cdef struct Lane:  # an instrument: its name, its window, its run
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


cdef struct Body:  # a decoded trade
    i64 number, sequence, event_time, received_at, count
    i128 price, size, amount
    int side
    cp first_id
    cp last_id
    int first_length, last_length


cdef inline bint read_varint(cp* at, cp end, i64* out) noexcept nogil:
    """A zigzag varint of at most 64 bits."""
    cdef cp p = at[0]
    cdef u64 value
    cdef unsigned int byte, shift = 7
    if p >= end:
        return False
    byte = p[0]
    p += 1
    value = byte & 127
    while byte > 127:
        if p >= end or shift > 63:
            return False
        byte = p[0]
        p += 1
        value |= <u64>(byte & 127) << shift
        shift += 7
    if shift > 63 and byte > 1:
        return False
    at[0] = p
    out[0] = <i64>(value >> 1) ^ -<i64>(value & 1)
    return True


cdef inline bint read_length(cp* at, cp end, i64* out) noexcept nogil:
    """The length of something that lies in front of `end`."""
    return read_varint(at, end, out) and out[0] >= 0 and out[0] <= end - at[0]


cdef inline bint read_nullable(cp* at, cp end, cp* out, i64* length) noexcept nogil:
    """Bytes with their length before them; a negative length is null."""
    if not read_varint(at, end, length) or length[0] > end - at[0]:
        return False
    out[0] = at[0]
    if length[0] > 0:
        at[0] += length[0]
    return True


cdef inline bint read_size(cp* at, cp end, i64 longest, i64* out) noexcept nogil:
    """The length, in one byte, of something that is not empty and lies in front of `end`."""
    cdef unsigned int byte
    if at[0] >= end:
        return False
    byte = at[0][0]
    at[0] += 1
    out[0] = byte >> 1
    return byte & 1 == 0 and byte != 0 and out[0] <= longest and out[0] <= end - at[0]


cdef inline bint read_figure(cp* at, cp end, i128* out) noexcept nogil:
    """A decimal above zero with at most 38 digits, in at most 16 bytes."""
    cdef i64 length, i
    cdef i128 value = 0
    cdef cp p
    if not read_size(at, end, 16, &length):
        return False
    p = at[0]
    if p[0] & 128:
        return False
    if length <= 8 and end - p >= 8:
        value = reversed(word_at(p)) >> (64 - 8 * length)
    else:
        for i in range(length):
            value = (value << 8) | p[i]
    at[0] = p + length
    out[0] = value
    return value > 0 and value < TEN_TO_38


cdef inline bint read_eight_digits(cp p, i64* out) noexcept nogil:
    """All at once: each step joins neighbours, digits to pairs to fours to eight."""
    cdef u64 digits = word_at(p)
    if digits & 0xF0F0F0F0F0F0F0F0u | (digits + 0x0606060606060606u & 0xF0F0F0F0F0F0F0F0u) >> 4 != 0x3333333333333333u:
        return False
    digits = (digits & 0x0F0F0F0F0F0F0F0Fu) * 0xA01u >> 8
    digits = (digits & 0x00FF00FF00FF00FFu) * 0x640001u >> 16
    out[0] = <i64>((digits & 0x0000FFFF0000FFFFu) * 0x271000000001u >> 32)
    return True


cdef inline bint read_number(cp* at, cp end, i64* out) noexcept nogil:
    """A trade id of 1 to 18 digits."""
    cdef i64 length, i, value = 0
    cdef cp p
    cdef unsigned int digit
    if not read_size(at, end, 18, &length):
        return False
    p = at[0]
    at[0] = p + length
    if length >= 8:
        if not read_eight_digits(p, &value):
            return False
        p += 8
        length -= 8
    for i in range(length):
        digit = <unsigned int>p[i] - 48
        if digit > 9:
            return False
        value = value * 10 + digit
    out[0] = value
    return True


cdef inline bint read_point_id(cp* at, cp end, cp* out, int* id_length) noexcept nogil:
    """An id that a Point holds: ASCII."""
    cdef i64 length
    if not read_size(at, end, ID_ROOM, &length):
        return False
    out[0] = at[0]
    id_length[0] = <int>length
    at[0] += length
    return is_ascii(out[0], length)


cdef inline bint is_ascii(cp p, i64 length) noexcept nogil:
    cdef u64 bits = 0
    cdef cp last
    if length < 8:
        while length > 0:
            length -= 1
            bits |= p[length]
        return bits & 128 == 0
    last = p + length - 8
    while p < last:
        bits |= word_at(p)
        p += 8
    return (bits | word_at(last)) & 0x8080808080808080u == 0


cdef inline bint is_same(cp p, cp q, i64 length) noexcept nogil:
    """As memcmp has it, without the call."""
    cdef i64 i
    if length < 8:
        return memcmp(p, q, length) == 0
    for i in range(0, length - 8, 8):
        if word_at(p + i) != word_at(q + i):
            return False
    return word_at(p + length - 8) == word_at(q + length - 8)


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


cdef inline bint read_time(cp* at, cp end, i64* out) noexcept nogil:
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
    return out[0] >= begin_of_times and out[0] < end_of_times


cdef inline bint read_optional_time(cp* at, cp end, i64* out) noexcept nogil:
    """Union of null (0) and a believable time."""
    cdef unsigned char index
    if at[0] >= end:
        return False
    index = at[0][0]
    at[0] += 1
    if index == 0:
        out[0] = 0
        return True
    return index == 2 and read_time(at, end, out)


cdef inline i64 clamp(i64 timestamp) noexcept nogil:
    """A timestamp in milliseconds so that its microseconds do not overflow: what is after all times stays so."""
    return 0 if timestamp < 0 else end_of_times if timestamp > end_of_times else timestamp


cdef inline bint multiply(i128 a, i128 b, i128* out) noexcept nogil:
    """Product of two values above zero."""
    if ((a | b) >> 63) != 0 and a > LARGEST / b:
        return False
    out[0] = a * b
    return True


cdef inline bint read_trade(cp p, cp end, i64 limit, i64 skew, Body* out) noexcept nogil:
    """Decode and check a trade's fields behind its instrument, but for its place in the window."""
    cdef i64 exchange_time, published_at
    if not (
        read_number(&p, end, &out.number)
        and read_varint(&p, end, &out.sequence)
        and read_figure(&p, end, &out.price)
        and read_figure(&p, end, &out.size)
        and read_side(&p, end, &out.side)
        and read_optional_time(&p, end, &exchange_time)
        and read_time(&p, end, &out.received_at)
        and read_point_id(&p, end, &out.first_id, &out.first_length)
        and read_point_id(&p, end, &out.last_id, &out.last_length)
        and read_varint(&p, end, &out.count)
        and read_optional_time(&p, end, &published_at)
    ):
        return False
    out.event_time = exchange_time if exchange_time else out.received_at
    return (
        p == end
        and out.count >= 1
        and out.count <= LONGEST_COUNT
        and out.received_at <= limit
        and exchange_time <= out.received_at + skew
        and multiply(out.price, out.size, &out.amount)
    )


cdef inline bint read_mark(cp p, cp end, i64 limit, i64* time) noexcept nogil:
    """Decode and check a time mark's fields behind its instrument, but for its place in the window."""
    cdef i64 published_at
    return (
        read_time(&p, end, time)
        and read_optional_time(&p, end, &published_at)
        and p == end
        and time[0] <= limit
    )


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


cdef void spell(Lane* lane, cp name, int length) noexcept nogil:
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


cdef inline object text_of(Point* point):
    return PyUnicode_DecodeASCII(<const char*>point.id, point.id_length, NULL)


cdef inline object point_of(Point* point):
    return new_tuple(TradePoint, (point.time, point.sequence, point.price, text_of(point)))


cdef object candle_of(Lane* lane):
    return new_tuple(
        Candle,
        (
            point_of(&lane.first),
            point_of(&lane.last),
            lane.high,
            lane.low,
            lane.volume,
            lane.amount,
            lane.taker_buy if lane.sides_known else None,
            lane.trade_count,
            lane.received_at,
        ),
    )


cdef inline bint skip_headers(cp p, cp end) noexcept nogil:
    """Whether the headers of a record fill the rest of it."""
    cdef i64 left, length
    cdef cp ignored
    if not read_varint(&p, end, &left) or left < 0:
        return False
    while left > 0:
        left -= 1
        if not read_length(&p, end, &length):
            return False
        p += length
        if not read_nullable(&p, end, &ignored, &length):
            return False
    return p == end


cdef inline object bytes_of(cp p, i64 length):
    return None if length < 0 else PyBytes_FromStringAndSize(<const char*>p, length)


@cython.final
cdef class Folder:
    """See `processors.runs.protocol.RunFolder`."""

    cdef object other
    cdef list names
    cdef Lane** table  # open addressing, at most half full
    cdef u64 mask
    cdef Lane* oldest
    cdef Lane* newest
    cdef unsigned int trade_schema, mark_schema
    cdef i64 skew
    cdef i64 trades, applied, unchanged, duplicate, replayed

    def __cinit__(self, contract, other):
        self.other = other
        self.names = []
        self.trade_schema, self.mark_schema = contract.trade_id, contract.mark_id
        self.skew = min(contract.max_skew, END_OF_TIMES)
        self.mask = 1023
        self.table = <Lane**>calloc(self.mask + 1, sizeof(Lane*))
        if not self.table:
            raise MemoryError

    def __dealloc__(self):
        cdef u64 i
        if self.table:
            for i in range(self.mask + 1):
                free(self.table[i])
            free(self.table)

    def fold(self, records):
        cdef Py_buffer buffer
        section = getattr(records, "section", None)
        if section is None:
            for record in records:
                if not self.take_in(record):
                    self.other(record)
            return
        PyObject_GetBuffer(section, &buffer, PyBUF_SIMPLE)
        try:
            self.walk(<cp>buffer.buf, buffer.len, records)
        finally:
            PyBuffer_Release(&buffer)

    def arm(self, instrument, window):
        cdef Lane* lane
        cdef bytes name = instrument.encode()
        lane = self.find(<cp>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        if lane == NULL:
            if window is None:
                return
            lane = self.add(check_instrument(instrument), name)
        self.untouch(lane)
        lane.armed = False
        if window is not None:
            applied_offset, last_id, floor_id, begin, end, closes_at, latest = window
            lane.applied_offset, lane.last_id, lane.floor_id = applied_offset, last_id, floor_id
            lane.begin, lane.end, lane.closes_at, lane.latest = begin, end, closes_at, latest
            lane.armed = True
            empty_run(lane)

    def take(self, instrument):
        cdef bytes name = instrument.encode()
        cdef Lane* lane = self.find(<cp>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        if lane == NULL or not lane.armed or lane.applied_offset == lane.armed_offset:
            return None
        self.untouch(lane)
        candle = None if lane.trade_count == 0 else candle_of(lane)
        run = new_tuple(Run, (candle, lane.source_offset, lane.applied_offset, lane.last_id, lane.latest))
        empty_run(lane)
        return run

    def touched(self):
        cdef list found = []
        cdef Lane* lane = self.oldest
        while lane != NULL:
            found.append(self.names[lane.index])
            lane = lane.after
        return found

    def take_counts(self):
        counts = RunCounts(self.trades, self.applied, self.unchanged, self.duplicate, self.replayed)
        self.trades = self.applied = self.unchanged = self.duplicate = self.replayed = 0
        return counts

    # instruments

    cdef inline Lane* find(self, cp name, i64 length) noexcept:
        cdef u64 hashed, place
        cdef Lane* lane
        if length < 1 or length > LONGEST_NAME:
            return NULL
        hashed = hash_of(name, length)
        place = hashed & self.mask
        while True:
            lane = self.table[place]
            if lane == NULL or (lane.hash == hashed and lane.name_length == length and is_same(lane.name, name, length)):
                return lane
            place = (place + 1) & self.mask

    cdef Lane* add(self, instrument, bytes name) except NULL:
        cdef Lane* lane
        cdef i64 length = PyBytes_GET_SIZE(name)
        if 2 * <u64>len(self.names) > self.mask:
            self.grow()
        lane = <Lane*>calloc(1, sizeof(Lane))
        if not lane:
            raise MemoryError
        spell(lane, <cp>PyBytes_AS_STRING(name), <int>length)
        lane.hash = hash_of(lane.name, length)
        lane.index = <int>len(self.names)
        self.names.append(instrument)
        insert(self.table, self.mask, lane)
        return lane

    cdef int grow(self) except -1:
        cdef u64 i, mask = 2 * self.mask + 1
        cdef Lane** table = <Lane**>calloc(mask + 1, sizeof(Lane*))
        if not table:
            raise MemoryError
        for i in range(self.mask + 1):
            if self.table[i] != NULL:
                insert(table, mask, self.table[i])
        free(self.table)
        self.table, self.mask = table, mask
        return 0

    cdef inline void touch(self, Lane* lane) noexcept:
        if lane.touched:
            return
        lane.touched = True
        lane.before, lane.after = self.newest, NULL
        if self.newest == NULL:
            self.oldest = lane
        else:
            self.newest.after = lane
        self.newest = lane

    cdef inline void untouch(self, Lane* lane) noexcept:
        if not lane.touched:
            return
        lane.touched = False
        if lane.before == NULL:
            self.oldest = lane.after
        else:
            lane.before.after = lane.after
        if lane.after == NULL:
            self.newest = lane.before
        else:
            lane.after.before = lane.before

    # records

    cdef bint take_in(self, record) except -1:
        """A plain record; False when it is to be handed over."""
        cdef i64 offset, timestamp
        found_offset, found_timestamp, key, value = record
        if not PyBytes_CheckExact(key) or not PyBytes_CheckExact(value):
            return False
        try:
            offset, timestamp = found_offset, found_timestamp
        except OverflowError:
            return False
        return self.one(
            offset, timestamp, <cp>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), <cp>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
        )

    cdef int walk(self, cp p, Py_ssize_t length, view) except -1:
        """Every record of a section from the view's start on."""
        cdef cp end = p + length
        cdef cp rest, key, value
        cdef unsigned char attributes
        cdef i64 base = view.base_offset, start = view.start, next_offset = view.next_offset, left = view.count
        cdef i64 first_timestamp = view.first_timestamp, append_timestamp = view.max_timestamp
        cdef bint is_append_time = view.is_append_time
        cdef i64 size, key_size, value_size, offset_delta, timestamp_delta, timestamp, last_delta = -1
        while left > 0:
            left -= 1
            if not read_length(&p, end, &size) or size < 1:
                raise CorruptRecords(f"a record after offset {base + last_delta} does not fit its batch")
            rest = p + size
            attributes = p[0]  # none are defined, and what begins a longer number is none
            p += 1
            if not (
                attributes < 128
                and read_varint(&p, rest, &timestamp_delta)
                and read_varint(&p, rest, &offset_delta)
                and read_nullable(&p, rest, &key, &key_size)
                and read_nullable(&p, rest, &value, &value_size)
                and skip_headers(p, rest)
            ):
                raise CorruptRecords(f"the record after offset {base + last_delta} is damaged")
            p = rest
            if offset_delta <= last_delta or offset_delta >= next_offset - base:
                raise CorruptRecords(f"offset {base} + {offset_delta} follows offset {base + last_delta} in a batch up to {next_offset}")
            last_delta = offset_delta
            if base + offset_delta < start:
                continue
            if is_append_time:
                timestamp = append_timestamp
            else:
                timestamp = <i64>(<u64>first_timestamp + <u64>timestamp_delta)
            if not self.one(base + offset_delta, timestamp, key, key_size, value, value_size):
                self.other(
                    new_tuple(RawRecord, (base + offset_delta, timestamp, bytes_of(key, key_size), bytes_of(value, value_size)))
                )
        if p != end:
            raise CorruptRecords(f"{end - p} bytes follow the last record of the batch at offset {base}")
        return 0

    cdef inline bint one(self, i64 offset, i64 timestamp, cp key, i64 key_size, cp value, i64 value_size) noexcept:
        """Take in a record; False, and nothing changed, when it is to be handed over."""
        cdef Lane* lane = self.find(key, key_size)
        cdef unsigned int schema
        cdef i64 limit
        cdef cp body, end = value + value_size
        if lane == NULL or not lane.armed or value_size < HEADER_SIZE + lane.spelled_size or value[0] != 0:
            return False
        if not is_same(value + HEADER_SIZE, lane.spelled, lane.spelled_size):
            return False
        body = value + HEADER_SIZE + lane.spelled_size
        schema = <unsigned int>value[1] << 24 | <unsigned int>value[2] << 16 | <unsigned int>value[3] << 8 | value[4]
        limit = clamp(timestamp) * 1000 + self.skew
        if schema == self.trade_schema:
            return self.one_trade(lane, offset, limit, body, end)
        return schema == self.mark_schema and self.one_mark(lane, offset, limit, body, end)

    cdef inline bint one_mark(self, Lane* lane, i64 offset, i64 limit, cp p, cp end) noexcept:
        cdef i64 time
        if not read_mark(p, end, limit, &time):
            return False
        if offset <= lane.applied_offset:
            self.replayed += 1
            return True
        if time >= lane.closes_at:
            return False
        if time > lane.latest:
            lane.latest = time
            self.touch(lane)
            self.applied += 1
        else:
            self.unchanged += 1
        lane.applied_offset = offset
        return True

    cdef inline bint one_trade(self, Lane* lane, i64 offset, i64 limit, cp p, cp end) noexcept:
        cdef Body body
        if not read_trade(p, end, limit, self.skew, &body):
            return False
        if offset <= lane.applied_offset:
            self.replayed += 1
            self.trades += 1
            return True
        if body.event_time < lane.begin or body.event_time >= lane.end or body.event_time >= lane.closes_at:
            return False
        if body.size >= volume_limit - lane.volume or body.amount > LARGEST - lane.amount:
            return False
        if lane.floor_id < body.number <= lane.last_id:
            self.duplicate += 1
        elif body.number == lane.last_id + 1 and merge_trade(lane, &body):
            lane.last_id = body.number
            lane.source_offset = offset
            if body.event_time > lane.latest:
                lane.latest = body.event_time
            self.touch(lane)
            self.applied += 1
        else:
            return False
        lane.applied_offset = offset
        self.trades += 1
        return True


cdef inline void insert(Lane** table, u64 mask, Lane* lane) noexcept nogil:
    cdef u64 place = lane.hash & mask
    while table[place] != NULL:
        place = (place + 1) & mask
    table[place] = lane
