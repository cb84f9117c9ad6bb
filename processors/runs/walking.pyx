# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Walks the bytes of the trade stream for folders of it; makes no Python object for a record that a folder takes in.

A folder is a subclass. It is given what is simple by the bytes alone: a trade or time mark of an armed instrument, encoded as
our schemas lay it out, that every check of `schemas.checks` would let pass, with numbers that 128 bits hold. All else, and what
the folder refuses, goes to `other`, so the full rules stand in one place, and this file may be cautious.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdlib cimport calloc, free

from processors.runs.entries cimport Entry, find, hash_of, insert, spell
from schemas.native cimport cp, i64, u64
from schemas.reading cimport is_same, read_length, read_nullable, read_varint, skip_headers
from schemas.trade_reading cimport Body, Rules, limit_after, read_mark, read_trade

from market.instrument import check_instrument
from market.trade import TimeMark, Trade
from processors.batch import RawRecord
from processors.runs.protocol import BEGIN_OF_TIMES, END_OF_TIMES, CorruptRecords

cdef enum:
    HEADER_SIZE = 5  # magic byte and schema id
    NOTHING, TRADE, MARK  # what was decoded of the latest record

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
            None,  # the origin
        ),
    )


cdef inline object bytes_of(cp p, i64 length):
    return None if length < 0 else PyBytes_FromStringAndSize(<const char*>p, length)


cdef class Walker:
    """Walks records and knows the instruments. `contract` is a `processors.runs.protocol.Contract`, `other` its `Other`."""

    def __cinit__(self, contract, other, *_):
        self.other = other
        self.names = []
        self.entry_size = sizeof(Entry)
        self.trade_schema, self.mark_schema = contract.trade_id, contract.mark_id
        self.rules = Rules(BEGIN_OF_TIMES, END_OF_TIMES, min(contract.max_skew, END_OF_TIMES))
        self.mask = 1023
        self.table = <Entry**>calloc(self.mask + 1, sizeof(Entry*))
        if not self.table:
            raise MemoryError

    def __dealloc__(self):
        cdef u64 i
        if self.table:
            for i in range(self.mask + 1):
                free(self.table[i])
            free(self.table)

    def fold(self, records):
        """See `processors.runs.protocol.RunFolder.fold`."""
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

    # for the subclass to do

    cdef bint take_trade(self, Entry* entry, i64 offset, Body* body) except -1:
        """Take in a trade of an armed instrument; False, and nothing changed, when it is to be handed over."""
        return False

    cdef bint take_mark(self, Entry* entry, i64 offset, i64 time) except -1:
        """The same for a time mark."""
        return False

    # instruments

    cdef Entry* entry_of(self, instrument, bint is_wanted) except? NULL:
        """The entry of an instrument; made when there is none and one is wanted, else NULL."""
        cdef bytes name = instrument.encode()
        cdef Entry* entry = find(self.table, self.mask, <cp>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        if entry == NULL and is_wanted:
            entry = self.add(check_instrument(instrument), name)
        return entry

    cdef Entry* add(self, instrument, bytes name) except NULL:
        cdef Entry* entry
        cdef i64 length = PyBytes_GET_SIZE(name)
        if 2 * <u64>len(self.names) > self.mask:
            self.grow()
        entry = <Entry*>calloc(1, self.entry_size)
        if not entry:
            raise MemoryError
        spell(entry, <cp>PyBytes_AS_STRING(name), <int>length)
        entry.hash = hash_of(entry.name, length)
        entry.index = <int>len(self.names)
        self.names.append(instrument)
        insert(self.table, self.mask, entry)
        return entry

    cdef int grow(self) except -1:
        cdef u64 i, mask = 2 * self.mask + 1
        cdef Entry** table = <Entry**>calloc(mask + 1, sizeof(Entry*))
        if not table:
            raise MemoryError
        for i in range(self.mask + 1):
            if self.table[i] != NULL:
                insert(table, mask, self.table[i])
        free(self.table)
        self.table, self.mask = table, mask
        return 0

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
        return one(
            self,
            offset,
            timestamp,
            <cp>PyBytes_AS_STRING(key),
            PyBytes_GET_SIZE(key),
            <cp>PyBytes_AS_STRING(value),
            PyBytes_GET_SIZE(value),
        )

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
            if not one(self, offset, timestamp, key, key_size, value, value_size):
                self.other(
                    new_tuple(RawRecord, (offset, timestamp, bytes_of(key, key_size), bytes_of(value, value_size))),
                    self.decoded_record(),
                )
        if p != end:
            raise CorruptRecords(f"{end - p} bytes follow the last record of the batch at offset {base}")
        return 0

    cdef object decoded_record(self):
        """The record just refused, where it was decoded and is valid by all rules; else None."""
        if self.decoded == NOTHING:
            return None
        instrument = self.names[self.entry.index]
        if self.decoded == MARK:
            return new_tuple(TimeMark, (instrument, self.mark.time, optional_time(self.mark.published_at)))
        return trade_of(instrument, &self.body)


cdef inline bint one(Walker self, i64 offset, i64 timestamp, cp key, i64 key_size, cp value, i64 value_size) except -1:
    """Take in a record; False, and nothing changed but what was decoded, when it is to be handed over."""
    cdef Entry* entry = find(self.table, self.mask, key, key_size)
    cdef unsigned int schema
    cdef i64 limit
    cdef cp p, end = value + value_size
    cdef Body body  # the compiler keeps better track of it than of the one that stays
    self.decoded = NOTHING
    if entry == NULL or not entry.armed or value_size < HEADER_SIZE + entry.spelled_size or value[0] != 0:
        return False
    if not is_same(value + HEADER_SIZE, entry.spelled, entry.spelled_size):
        return False
    p = value + HEADER_SIZE + entry.spelled_size
    schema = <unsigned int>value[1] << 24 | <unsigned int>value[2] << 16 | <unsigned int>value[3] << 8 | value[4]
    limit = limit_after(timestamp, &self.rules)
    if schema == self.trade_schema:
        if not read_trade(p, end, &self.rules, limit, &body):
            return False
        if self.take_trade(entry, offset, &body):
            return True
        self.decoded, self.entry, self.body = TRADE, entry, body
        return False
    if schema != self.mark_schema or not read_mark(p, end, &self.rules, limit, &self.mark):
        return False
    self.decoded, self.entry = MARK, entry
    return self.take_mark(entry, offset, self.mark.time)
