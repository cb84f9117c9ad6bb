# cython: language_level=3
from processors.encoding.writing cimport Output
from processors.outbox.compiled cimport Outbox
from processors.runs.lanes cimport Lane
from processors.runs.series cimport MOST_INTERVALS, Intervals, OpenCandle, Series
from processors.runs.sums cimport Sums
from schemas.native cimport i64
from schemas.trade_reading cimport Body


cdef class Kept:
    cdef Series series
    cdef str instrument
    cdef int place  # of its events in the outbox
    cdef bytes observed_from  # as the stored state has these three
    cdef bytes ids
    cdef bytes gaps


cdef class Keeper:
    cdef object keeping
    cdef object closed_table
    cdef object open_table
    cdef Outbox outbox
    cdef Intervals intervals
    cdef list names  # of the intervals
    cdef list texts  # the same as bytes
    cdef list spelled  # and as Avro has them
    cdef dict numbers  # of the intervals, by name
    cdef list configured
    cdef bytes header
    cdef bytes source
    cdef str topic
    cdef i64 told[MOST_INTERVALS][3]
    cdef i64 received_at

    cdef bint keep(self, Lane* lane, series) except -1
    cdef int release(self, Lane* lane, series) except -1
    cdef bint trade(self, Lane* lane, i64 offset, Body* body) except -1
    cdef bint mark(self, Lane* lane, i64 offset, i64 time) except -1
    cdef int store(self, Lane* lane) except -1
    cdef int add_counts(self, counts) except -1

    cdef int number(self, str name) except -2
    cdef bint copy_state(self, Series* to, series) except -1
    cdef bint copy_gaps(self, Series* to, series) except -1
    cdef bint can_take(self, Lane* lane, Series* series, Body* body) noexcept
    cdef bint can_advance(self, Lane* lane, Kept kept, i64 time) except -1
    cdef int open_candle(self, Lane* lane, Kept kept, int interval, i64 offset, Body* body) except -1
    cdef int advance(self, Lane* lane, Kept kept, i64 time, i64 offset) except -1
    cdef int close_candle(self, Lane* lane, Kept kept, OpenCandle* held, i64 offset) except -1
    cdef int forget_beyond_the_horizon(self, Lane* lane, Kept kept) except -1
    cdef i64 open_time(self, int interval, i64 time) noexcept
    cdef bint is_past(self, const OpenCandle* held, i64 latest) noexcept
    cdef str key(self, Kept kept, const OpenCandle* held)
    cdef int settle(self, Lane* lane, Series* series) except -1
    cdef void set_stretch(self, Lane* lane, Series* series) noexcept
    cdef int tell(self, Lane* lane, Kept kept, OpenCandle* held, int kind, i64 offset, bint is_complete) except -1
    cdef bytes state_of(self, Lane* lane, Kept kept)
    cdef int put_closed(self, Output* out, Series* series) except -1


cdef object candle_of(Sums* sums)
cdef void forget(Lane* lane)
