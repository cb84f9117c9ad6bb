# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Weighing in integers of 128 bits; a total that does not fit them is left to Python's."""

cimport cython

from schemas.native cimport NEVER, i64, i128, u64

import numpy as np

from processors.holdings.protocol import PRICED, STALE


cdef extern from *:
    bint multiply "__builtin_mul_overflow"(i128, i128, i128*) noexcept nogil  # whether the product does not fit
    bint add "__builtin_add_overflow"(i128, i128, i128*) noexcept nogil


@cython.final
cdef class Sums:
    """See `processors.holdings.protocol.Weighed`."""

    def __cinit__(self, Py_ssize_t groups):
        self.high, self.low = np.empty(groups, np.int64), np.empty(groups, np.uint64)
        self.counts, self.times = np.empty(groups, np.int64), np.empty(groups, np.int64)
        self.unfit = np.empty(groups, np.uint8)

    def total(self, Py_ssize_t group):
        return None if self.unfit[group] else (<object>self.high[group] << 64) + <object>self.low[group]

    def priced(self, Py_ssize_t group):
        return self.counts[group] & 0xFFFFFFFF

    def stale(self, Py_ssize_t group):
        return self.counts[group] >> 32

    def oldest(self, Py_ssize_t group):
        return self.times[group]


cdef struct Sum:
    i128 total
    i64 counts  # rows with a price, and 2**32 times those with a stale one
    i64 oldest
    bint is_unfit


cdef struct Table:  # columns
    const u64* low
    const u64* high
    const i64* counts  # what a row with the column adds to those of its sum
    const i64* times


cdef inline Sum sum_of_short(const i64* units, const int* columns, Py_ssize_t length, Table table) noexcept nogil:
    """Of rows whose products and total fit, prices having 63 bits at most: without a branch."""
    cdef i128 total = 0
    cdef i64 counts = 0, oldest = NEVER
    cdef Py_ssize_t row
    cdef int column
    for row in range(length):
        column = columns[row]
        total += <i128>units[row] * <i64>table.low[column]  # one machine instruction
        counts += table.counts[column]
        oldest = min(oldest, table.times[column])
    return Sum(total, counts, oldest, False)


cdef inline Sum sum_of_any(const i64* units, const int* columns, Py_ssize_t length, Table table) noexcept nogil:
    cdef Sum found = Sum(0, 0, NEVER, False)
    cdef Py_ssize_t row
    cdef int column
    cdef i128 value
    for row in range(length):
        column = columns[row]
        found.is_unfit |= multiply(<i128>units[row], (<i128>table.high[column] << 64) | table.low[column], &value)
        found.is_unfit |= add(found.total, value, &found.total)
        found.counts += table.counts[column]
        found.oldest = min(found.oldest, table.times[column])
    return found


def weigh(rows, columns):
    """Sums of all groups."""
    cdef Sums sums = Sums(len(rows.starts))
    cdef const i64[::1] units = rows.units, starts = rows.starts, times = columns.times
    cdef const int[::1] of_row = rows.columns, lengths = rows.lengths
    cdef const u64[::1] low = columns.low, high = columns.high
    flags = columns.flags.astype(np.int64)
    cdef const i64[::1] counts = (flags & PRICED) + (flags // STALE << 32)
    cdef Py_ssize_t group, begin, longest = longest_short(rows, columns)
    cdef Sum found
    cdef Table table = Table(&low[0], &high[0], &counts[0], &times[0])
    with nogil:
        for group in range(starts.shape[0]):
            begin = starts[group]
            if not lengths[group]:
                found = Sum(0, 0, NEVER, False)
            elif lengths[group] <= longest:
                found = sum_of_short(&units[begin], &of_row[begin], lengths[group], table)
            else:
                found = sum_of_any(&units[begin], &of_row[begin], lengths[group], table)
            sums.high[group], sums.low[group] = <i64>(found.total >> 64), <u64>found.total
            sums.counts[group], sums.times[group] = found.counts, found.oldest
            sums.unfit[group] = found.is_unfit
    return sums


def longest_short(rows, columns):
    """How many rows can be added at any prices of these columns in 127 bits."""
    bits = 64 if columns.high.any() else int(columns.low.max()).bit_length()
    return 1 << min(127 - bits - rows.unit_bits, 21) if bits < 64 else 0


def groups_with(rows, const unsigned char[::1] wanted):
    """The groups of which a row has one of the columns wanted."""
    cdef const i64[::1] starts = rows.starts
    cdef const int[::1] of_row = rows.columns, lengths = rows.lengths
    found = np.zeros(len(rows.starts), np.uint8)
    cdef unsigned char[::1] marks = found
    cdef Py_ssize_t group, row
    with nogil:
        for group in range(starts.shape[0]):
            for row in range(starts[group], starts[group] + lengths[group]):
                if wanted[of_row[row]]:
                    marks[group] = 1
                    break
    return found
