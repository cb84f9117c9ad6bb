# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Rounding of `market.decimals` in C."""

from schemas.native cimport i128


cdef inline i128 divide_half_even(i128 dividend, i128 divisor) noexcept nogil:
    """Quotient of two numbers above zero, as `market.decimals.divide_half_even` rounds it."""
    cdef i128 quotient = dividend // divisor
    cdef i128 rest = dividend - quotient * divisor
    cdef i128 to_next = divisor - rest
    return quotient + (rest > to_next or (rest == to_next and quotient & 1 != 0))
