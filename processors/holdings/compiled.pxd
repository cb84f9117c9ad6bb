# cython: language_level=3
"""Sums by group, for the compiled code that makes totals of them."""

from schemas.native cimport i64, u64


cdef class Sums:
    """See `processors.holdings.protocol.Weighed`: a total is `high * 2**64 + low`, unless it is unfit."""

    cdef i64[::1] high, counts, times
    cdef u64[::1] low
    cdef unsigned char[::1] unfit
