# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled folder of runs: reads a batch's bytes in place, makes no Python object for a record that belongs to a run.

It takes in only what it can prove simple by the bytes alone: a trade or time mark of an armed instrument, encoded as our schemas
lay it out, that every check of `schemas.checks` would let pass, with numbers that 128 bits hold. What is simple but no part of
a run goes to `processors.runs.keeping` where the series is kept. All else goes to `other`, so the full rules stand in one place,
and this file may be cautious. `processors.runs.plain` draws the same line.

Sums are 128-bit integers and never wrap: a record that would overflow them is handed over.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdlib cimport calloc, free

from processors.native cimport AMPLE, cp, i64, i128, u64
from processors.runs.keeping cimport Keeper, candle_of, forget
from processors.runs.lanes cimport LONGEST_NAME, Lane, empty_run, hash_of, spell
from processors.runs.reading cimport is_same, read_length, read_nullable, read_varint, skip_headers
from processors.runs.records cimport Body, Mark, Rules, limit_after, read_mark, read_trade
from processors.runs.series cimport MOST_INTERVALS
from processors.runs.sums cimport ID_ROOM, merge_trade

from market.candle_series import LARGEST_RUN_AMOUNT, LARGEST_RUN_VOLUME
from market.instrument import check_instrument
from market.run import Run
from market.trade import TimeMark, Trade
from processors.batch import RawRecord
from processors.runs.protocol import BEGIN_OF_TIMES, END_OF_TIMES, LONGEST_POINT_ID, CorruptRecords, RunCounts

cdef enum:
    HEADER_SIZE = 5  # magic byte and schema id
    NOTHING, TRADE, MARK  # what was decoded of the latest record

assert ID_ROOM == LONGEST_POINT_ID and LARGEST_RUN_AMOUNT == AMPLE

cdef i128 volume_limit = LARGEST_RUN_VOLUME
cdef object new_tuple = tuple.__new__
cdef tuple sides = ("buy", "sell")


cdef inline object optional_time(i64 time):
    return time if time else None


cdef object trade_of(instrument, Body* body):
    return new_tuple(
        Trade,
        (
            instrument,
            PyUnicode_DecodeASCII(<const char*>body.trade_id, body.id_length, NULL),
            body.sequence,
            body.price,
            body.size,
            None if body.side < 0 else sides[body.side],
            optional_time(body.exchange_time),
            body.received_at,
            PyUnicode_DecodeASCII(<const char*>body.first_id, body.first_length, NULL),
            PyUnicode_DecodeASCII(<const char*>body.last_id, body.last_length, NULL),
            body.count,
            optional_time(body.published_at),
        ),
    )


cdef inline object bytes_of(cp p, i64 length):
    return None if length < 0 else PyBytes_FromStringAndSize(<const char*>p, length)


@cython.final
cdef class Folder:
    """See `processors.runs.protocol.SeriesFolder`."""

    cdef object other
    cdef Keeper keeper  # None where no series is kept
    cdef int decoded
    cdef Body body
    cdef Mark mark
    cdef Lane* lane  # of what was decoded
    cdef list names
    cdef Lane** table  # open addressing, at most half full
    cdef u64 mask
    cdef Lane* oldest
    cdef Lane* newest
    cdef unsigned int trade_schema, mark_schema
    cdef Rules rules
    cdef i64 trades, applied, unchanged, duplicate, replayed

    def __cinit__(self, contract, other, keeping=None):
        self.other = other
        self.keeper = None if keeping is None or len(keeping.intervals) > MOST_INTERVALS else Keeper(keeping)
        self.names = []
        self.trade_schema, self.mark_schema = contract.trade_id, contract.mark_id
        self.rules = Rules(BEGIN_OF_TIMES, END_OF_TIMES, min(contract.max_skew, END_OF_TIMES))
        self.mask = 1023
        self.table = <Lane**>calloc(self.mask + 1, sizeof(Lane*))
        if not self.table:
            raise MemoryError

    def __dealloc__(self):
        cdef u64 i
        if self.table:
            for i in range(self.mask + 1):
                if self.table[i] != NULL:
                    forget(self.table[i])
                    free(self.table[i])
            free(self.table)

    def fold(self, records):
        cdef Py_buffer buffer
        section = getattr(records, "section", None)
        if section is None:
            for record in records:
                if not self.take_in(record):
                    self.other(record, self.decoded_record())
            return
        PyObject_GetBuffer(section, &buffer, PyBUF_SIMPLE)
        try:
            self.walk(<cp>buffer.buf, buffer.len, records)
        finally:
            PyBuffer_Release(&buffer)

    def arm(self, instrument, window):
        cdef Lane* lane = self.lane_of(instrument, window is not None)
        if lane == NULL:
            return
        self.untouch(lane)
        forget(lane)
        lane.armed = False
        if window is not None:
            applied_offset, last_id, floor_id, begin, end, closes_at, latest = window
            lane.applied_offset, lane.last_id, lane.floor_id = applied_offset, last_id, floor_id
            lane.begin, lane.end, lane.closes_at, lane.latest = begin, end, closes_at, latest
            lane.armed = True
            empty_run(lane)

    def take(self, instrument):
        cdef Lane* lane = self.lane_of(instrument, False)
        if lane == NULL or not lane.armed or lane.applied_offset == lane.armed_offset:
            return None
        self.untouch(lane)
        candle = None if lane.run.trade_count == 0 else candle_of(&lane.run)
        run = new_tuple(Run, (candle, lane.source_offset, lane.applied_offset, lane.last_id, lane.latest))
        empty_run(lane)
        return run

    def touched(self):
        cdef list found = []
        cdef Lane* lane = self.oldest
        while lane != NULL:
            if lane.kept == NULL:
                found.append(self.names[lane.index])
            lane = lane.after
        return found

    def keep(self, series):
        cdef Lane* lane
        if self.keeper is None:
            return False
        lane = self.lane_of(series.instrument, True)
        if not self.keeper.keep(lane, series):
            return False
        lane.armed = True
        self.untouch(lane)
        return True

    def release(self, series):
        cdef Lane* lane = self.lane_of(series.instrument, False)
        if lane == NULL or lane.kept == NULL:
            return False
        self.keeper.release(lane, series)
        self.untouch(lane)
        lane.armed = False
        return True

    def store(self):
        cdef Lane* lane = self.oldest
        cdef Lane* after
        while lane != NULL:
            after = lane.after
            if lane.kept != NULL:
                self.keeper.store(lane)
                self.untouch(lane)
            lane = after

    def take_counts(self):
        counts = RunCounts(self.trades, self.applied, self.unchanged, self.duplicate, self.replayed)
        self.trades = self.applied = self.unchanged = self.duplicate = self.replayed = 0
        if self.keeper is not None:
            self.keeper.add_counts(counts)
        return counts

    # instruments

    cdef Lane* lane_of(self, instrument, bint is_wanted) except? NULL:
        """The lane of an instrument; made when there is none and one is wanted, else NULL."""
        cdef bytes name = instrument.encode()
        cdef Lane* lane = self.find(<cp>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        if lane == NULL and is_wanted:
            lane = self.add(check_instrument(instrument), name)
        return lane

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
        self.decoded = NOTHING
        found_offset, found_timestamp, key, value = record
        if not PyBytes_CheckExact(key) or not PyBytes_CheckExact(value):
            return False
        try:
            offset, timestamp = found_offset, found_timestamp
        except OverflowError:
            return False
        return self.one(
            offset, timestamp, <cp>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), <cp>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
        ) or self.kept_takes(offset)

    cdef int walk(self, cp p, Py_ssize_t length, view) except -1:
        """Every record of a section from the view's start on."""
        cdef cp end = p + length
        cdef cp rest, key, value
        cdef unsigned char attributes
        cdef i64 base = view.base_offset, start = view.start, next_offset = view.next_offset, left = view.count
        cdef i64 first_timestamp = view.first_timestamp, append_timestamp = view.max_timestamp
        cdef bint is_append_time = view.is_append_time
        cdef i64 size, key_size, value_size, offset_delta, timestamp_delta, timestamp, offset, last_delta = -1
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
            offset = base + offset_delta
            if not self.one(offset, timestamp, key, key_size, value, value_size) and not self.kept_takes(offset):
                self.other(
                    new_tuple(RawRecord, (offset, timestamp, bytes_of(key, key_size), bytes_of(value, value_size))),
                    self.decoded_record(),
                )
        if p != end:
            raise CorruptRecords(f"{end - p} bytes follow the last record of the batch at offset {base}")
        return 0

    cdef inline bint one(self, i64 offset, i64 timestamp, cp key, i64 key_size, cp value, i64 value_size) noexcept:
        """Take in a record; False, and nothing changed but what was decoded, when it is to be handed over."""
        cdef Lane* lane = self.find(key, key_size)
        cdef unsigned int schema
        cdef i64 limit
        cdef cp body, end = value + value_size
        self.decoded = NOTHING
        if lane == NULL or not lane.armed or value_size < HEADER_SIZE + lane.spelled_size or value[0] != 0:
            return False
        if not is_same(value + HEADER_SIZE, lane.spelled, lane.spelled_size):
            return False
        body = value + HEADER_SIZE + lane.spelled_size
        schema = <unsigned int>value[1] << 24 | <unsigned int>value[2] << 16 | <unsigned int>value[3] << 8 | value[4]
        limit = limit_after(timestamp, &self.rules)
        if schema == self.trade_schema:
            return self.one_trade(lane, offset, limit, body, end)
        return schema == self.mark_schema and self.one_mark(lane, offset, limit, body, end)

    cdef inline bint one_mark(self, Lane* lane, i64 offset, i64 limit, cp p, cp end) noexcept:
        cdef i64 time
        if not read_mark(p, end, &self.rules, limit, &self.mark):
            return False
        self.decoded, self.lane, time = MARK, lane, self.mark.time
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
        if not read_trade(p, end, &self.rules, limit, &body):
            return False
        self.decoded, self.lane = TRADE, lane
        if offset <= lane.applied_offset:
            self.replayed += 1
            self.trades += 1
            return True
        if (
            body.event_time < lane.begin
            or body.event_time >= lane.end
            or body.event_time >= lane.closes_at
            or body.size >= volume_limit - lane.run.volume
            or body.amount >= AMPLE - lane.run.amount
        ):
            self.body = body
            return False
        if lane.floor_id < body.number <= lane.last_id:
            self.duplicate += 1
        elif body.number == lane.last_id + 1 and merge_trade(&lane.run, &body):
            lane.last_id = body.number
            lane.source_offset = offset
            if body.event_time > lane.latest:
                lane.latest = body.event_time
            self.touch(lane)
            self.applied += 1
        else:
            self.body = body
            return False
        lane.applied_offset = offset
        self.trades += 1
        return True

    cdef bint kept_takes(self, i64 offset) except -1:
        """Take in what `one` has just decoded and refused, where its series is kept and it is simple; else False."""
        if self.decoded == NOTHING or self.lane.kept == NULL:
            return False
        if self.decoded == TRADE:
            if not self.keeper.trade(self.lane, offset, &self.body):
                return False
            self.trades += 1
        elif not self.keeper.mark(self.lane, offset, self.mark.time):
            return False
        self.applied += 1
        self.touch(self.lane)
        return True

    cdef object decoded_record(self):
        """The record just refused, where all that was wrong with it is its place in the window; else None."""
        if self.decoded == NOTHING:
            return None
        instrument = self.names[self.lane.index]
        if self.decoded == MARK:
            return new_tuple(TimeMark, (instrument, self.mark.time, optional_time(self.mark.published_at)))
        return trade_of(instrument, &self.body)


cdef inline void insert(Lane** table, u64 mask, Lane* lane) noexcept nogil:
    cdef u64 place = lane.hash & mask
    while table[place] != NULL:
        place = (place + 1) & mask
    table[place] = lane
