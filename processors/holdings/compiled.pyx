# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Weighing in integers of 128 bits; a total that does not fit them is left to Python's."""

cimport cython

from processors.native cimport NEVER, i64, i128, u64

import numpy as np

from processors.holdings.protocol import STALE

cdef extern from *:
    bint multiply "__builtin_mul_overflow"(i128, i128, i128*) noexcept nogil  # whether the product does not fit
    bint add "__builtin_add_overflow"(i128, i128, i128*) noexcept nogil


@cython.final
cdef class Sums:
    """See `processors.holdings.protocol.Weighed`."""

    cdef i64[::1] high, times
    cdef u64[::1] low
    cdef int[::1] counts, stale_counts
    cdef unsigned char[::1] unfit

    def __cinit__(self, Py_ssize_t groups):
        self.high, self.low = np.empty(groups, np.int64), np.empty(groups, np.uint64)
        self.counts, self.stale_counts = np.empty(groups, np.int32), np.empty(groups, np.int32)
        self.times, self.unfit = np.empty(groups, np.int64), np.empty(groups, np.uint8)

    def total(self, Py_ssize_t group):
        return None if self.unfit[group] else (<object>self.high[group] << 64) + <object>self.low[group]

    def priced(self, Py_ssize_t group):
        return self.counts[group]

    def stale(self, Py_ssize_t group):
        return self.stale_counts[group]

    def oldest(self, Py_ssize_t group):
        return self.times[group]


def weigh(rows, columns):
    """Sums of all groups."""
    cdef Sums sums = Sums(len(rows.starts))
    cdef const i64[::1] units = rows.units, starts = rows.starts, times = columns.times
    cdef const int[::1] of_row = rows.columns, lengths = rows.lengths
    cdef const u64[::1] low = columns.low, high = columns.high
    cdef const unsigned char[::1] flags = columns.flags
    cdef unsigned char stale_flag = STALE
    cdef Py_ssize_t group, row
    cdef int column, priced, stale
    cdef i64 oldest
    cdef i128 total, value
    cdef bint is_unfit
    with nogil:
        for group in range(starts.shape[0]):
            total, is_unfit = 0, False
            priced = stale = 0
            oldest = NEVER
            for row in range(starts[group], starts[group] + lengths[group]):
                column = of_row[row]
                if flags[column] == 0:
                    continue
                priced += 1
                stale += flags[column] & stale_flag != 0
                oldest = min(oldest, times[column])
                if high[column] == 0 and <i64>low[column] >= 0:  # one machine instruction
                    value = <i128>units[row] * <i64>low[column]
                else:
                    is_unfit |= multiply(<i128>units[row], (<i128>high[column] << 64) | low[column], &value)
                is_unfit |= add(total, value, &total)
            sums.high[group], sums.low[group] = <i64>(total >> 64), <u64>total
            sums.counts[group], sums.stale_counts[group] = priced, stale
            sums.times[group], sums.unfit[group] = oldest, is_unfit
    return sums
