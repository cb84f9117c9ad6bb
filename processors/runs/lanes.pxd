# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""An instrument in C: its window and its run."""

from libc.string cimport memcpy

from processors.native cimport cp, i64, u64, word_at
from processors.runs.sums cimport Sums

cdef enum:
    LONGEST_NAME = 97  # of an instrument, as market.instrument has it


cdef struct Lane:
    u64 hash
    int name_length
    int index  # in the folder's names
    bint armed
    bint touched
    i64 applied_offset, last_id, floor_id, begin, end, closes_at, latest
    i64 armed_offset, source_offset
    Sums run
    void* kept  # its series (processors.runs.keeping.Kept), NULL where that is not kept here
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


cdef inline void empty_run(Lane* lane) noexcept nogil:
    lane.armed_offset = lane.applied_offset
    lane.source_offset = -1
    lane.run.trade_count = 0
    lane.run.volume = lane.run.amount = 0


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
