# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Sums of products of 128 bits by 128, exact, and their rounded quotients."""

from schemas.native cimport AMPLE, i128, u64

cdef extern from *:
    """
    typedef unsigned __int128 tapeline_u128;
    """
    ctypedef unsigned long long u128 "tapeline_u128"


cdef struct Wide:  # high * 2**128 + low
    i128 high
    u128 low


cdef inline void add_product(Wide* total, i128 amount, i128 weight) noexcept nogil:
    """Add amount × weight; the weight is not below zero."""
    cdef u128 magnitude = <u128>(-amount) if amount < 0 else <u128>amount
    cdef u128 a1 = magnitude >> 64, a0 = <u64>magnitude, w1 = <u128>weight >> 64, w0 = <u64>weight
    cdef u128 low = a0 * w0, middle = a1 * w0, other = a0 * w1, high = a1 * w1
    cdef u128 sum = low + (middle << 64)
    high += (middle >> 64) + (sum < low)
    low = sum + (other << 64)
    high += (other >> 64) + (low < sum)
    if amount < 0:
        low, high = 0 - low, ~high + (low == 0)
    total.low += low
    total.high += <i128>high + (total.low < low)


cdef inline Wide sum_of(Wide one, Wide other) noexcept nogil:
    cdef Wide found
    found.low = one.low + other.low
    found.high = one.high + other.high + (found.low < one.low)
    return found


cdef inline bint divide_half_even(Wide dividend, i128 divisor, i128* quotient) noexcept nogil:
    """Quotient by a number above zero, rounded as `market.decimals.divide_half_even` does; whether it is below `AMPLE`."""
    cdef bint is_negative = dividend.high < 0
    cdef u128 low = 0 - dividend.low if is_negative else dividend.low
    cdef u128 rest = ~<u128>dividend.high + (dividend.low == 0) if is_negative else <u128>dividend.high
    cdef u128 by = <u128>divisor, found = 0, part
    cdef int bit
    if rest >= by:
        return False
    if rest == 0:
        found = low // by
        rest = low - found * by
    elif by >> 64 == 0:  # then what remains fits half a number, too
        part = rest << 64 | low >> 64
        found = part // by
        rest = part - found * by
        part = rest << 64 | <u64>low
        found = found << 64 | part // by
        rest = part - <u64>found * by
    else:
        for bit in range(127, -1, -1):
            rest = rest << 1 | low >> bit & 1
            found <<= 1
            if rest >= by:
                rest -= by
                found |= 1
    found += rest > by - rest or (rest == by - rest and found & 1 != 0)
    if found >= <u128>AMPLE:
        return False
    quotient[0] = -<i128>found if is_negative else <i128>found
    return True
