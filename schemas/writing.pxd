# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Writing of numbers as text: each `put` writes at `at[0]` and moves that behind it; there must be room."""

from libc.string cimport memcpy

from schemas.native cimport i64, i128, u64


cdef inline void put(char** at, const char* text, Py_ssize_t length) noexcept:
    memcpy(at[0], text, length)
    at[0] += length


cdef inline void put_digit(char** at, int digit) noexcept:
    at[0][0] = <char>(48 + digit)
    at[0] += 1


cdef inline void put_digits(char** at, i128 value) noexcept:
    """A number that is not negative."""
    cdef char digits[40]
    cdef int first = 40
    cdef u64 small
    while value >> 63:
        first -= 1
        digits[first] = <char>(48 + <int>(value % 10))
        value = value / 10
    small = <u64>value
    while True:
        first -= 1
        digits[first] = <char>(48 + small % 10)
        small = small // 10
        if not small:
            break
    put(at, &digits[first], 40 - first)


cdef inline void put_signed(char** at, i64 value) noexcept:
    """A whole number."""
    cdef u64 magnitude = <u64>value
    if value < 0:
        put(at, "-", 1)
        magnitude = 0 - magnitude
    put_digits(at, magnitude)
