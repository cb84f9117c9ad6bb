# cython: language_level=3
from processors.runs.entries cimport Entry, Touched
from schemas.native cimport cp, i64, u64
from schemas.trade_reading cimport Body, Mark, Rules


cdef class Walker:
    cdef object other
    cdef list names
    cdef Touched touched_ones
    cdef size_t entry_size  # set by the subclass, which makes of an `Entry` the beginning of what it holds
    cdef Entry** table  # open addressing, at most half full
    cdef u64 mask
    cdef unsigned int trade_schema, mark_schema
    cdef Rules rules
    cdef int decoded
    cdef Entry* entry  # of what was decoded
    cdef Body body
    cdef Mark mark

    cdef bint take_trade(self, Entry* entry, i64 offset, Body* body) except -1
    cdef bint take_mark(self, Entry* entry, i64 offset, i64 time) except -1

    cdef Entry* entry_of(self, instrument, bint is_wanted) except? NULL
    cdef Entry* add(self, instrument, bytes name) except NULL
    cdef int grow(self) except -1
    cdef bint take_in(self, record) except -1
    cdef int walk(self, cp p, Py_ssize_t length, view) except -1
    cdef object decoded_record(self)
