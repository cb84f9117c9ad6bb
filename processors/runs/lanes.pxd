# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""An instrument whose candles are made: its window and its run."""

from processors.runs.entries cimport Entry
from processors.runs.sums cimport Sums
from schemas.native cimport i64


cdef struct Lane:
    Entry entry
    i64 last_id, floor_id, begin, end, closes_at, latest
    i64 armed_offset, source_offset
    Sums run
    void* kept  # its series (processors.runs.keeping.Kept), NULL where that is not kept here


cdef inline void empty_run(Lane* lane) noexcept nogil:
    lane.armed_offset = lane.entry.applied_offset
    lane.source_offset = -1
    lane.run.trade_count = 0
    lane.run.volume = lane.run.amount = 0
