# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Writing of Avro into bytes that grow. Between `begin` and `end`; each `write_` needs the room that `reserve` makes."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memcpy

from schemas.native cimport i64, i128, leading_zeros, put_word, u64

cdef enum:
    LONGEST_NUMBER = 24  # of all that `write_varint` and `write_decimal` write
    FIRST_CAPACITY = 2048
    HEAD_SIZE = 9  # version and offset before stored state


cdef struct Output:
    unsigned char* data  # `first`, or more on the heap
    Py_ssize_t size, capacity
    unsigned char first[FIRST_CAPACITY]


cdef inline void begin(Output* out) noexcept:
    out.data, out.size, out.capacity = out.first, 0, FIRST_CAPACITY


cdef inline void end(Output* out) noexcept:
    if out.data != out.first:
        PyMem_Free(out.data)


cdef inline object whole(Output* out):
    """What was written, as bytes."""
    return PyBytes_FromStringAndSize(<const char*>out.data, out.size)


cdef inline int reserve(Output* out, Py_ssize_t more) except -1:
    return 0 if out.capacity - out.size >= more else grow(out, more)


cdef inline int grow(Output* out, Py_ssize_t more) except -1:
    cdef Py_ssize_t capacity = 2 * out.capacity + more
    cdef unsigned char* data = <unsigned char*>PyMem_Malloc(capacity)
    if not data:
        raise MemoryError
    memcpy(data, out.data, out.size)
    end(out)
    out.data, out.capacity = data, capacity
    return 0


cdef inline void write_byte(Output* out, int byte) noexcept:
    out.data[out.size] = <unsigned char>byte
    out.size += 1


cdef inline void write_bytes(Output* out, const void* data, Py_ssize_t size) noexcept:
    memcpy(out.data + out.size, data, size)
    out.size += size


cdef inline void write_varint(Output* out, i64 value) noexcept:
    cdef u64 rest = (<u64>value << 1) ^ <u64>(value >> 63)
    cdef unsigned char* p = out.data + out.size
    while rest > 127:
        p[0] = rest & 127 | 128
        p += 1
        rest >>= 7
    p[0] = <unsigned char>rest
    out.size = p + 1 - out.data


cdef inline void write_digits(Output* out, i64 value) noexcept:
    """A number of zero or above as text."""
    cdef unsigned char digits[LONGEST_NUMBER]
    cdef int at = LONGEST_NUMBER
    while True:
        at -= 1
        digits[at] = <unsigned char>(48 + value % 10)
        value //= 10
        if value == 0:
            break
    write_bytes(out, digits + at, LONGEST_NUMBER - at)


cdef inline int bits_of(u64 magnitude) noexcept:
    return 64 - leading_zeros(magnitude) if magnitude else 0


cdef inline void write_decimal(Output* out, i128 value) noexcept:
    """As many bytes as its magnitude needs with a sign bit before it; a longer number has a sign of its own before it."""
    cdef i64 small = <i64>value
    cdef u64 magnitude = 0 - <u64>small if small < 0 else <u64>small
    cdef int length = bits_of(magnitude) // 8 + 1
    if length > 8 or small != value:
        write_wide(out, value)
        return
    write_byte(out, 2 * length)
    put_word(out.data + out.size, <u64>small << (64 - 8 * length))
    out.size += length


cdef inline void write_wide(Output* out, i128 value) noexcept:
    cdef i128 magnitude = -value if value < 0 else value
    cdef u64 high = <u64>(magnitude >> 64)
    cdef int bits = 64 + bits_of(high) if high else bits_of(<u64>magnitude)
    cdef int length = bits // 8 + 1, i
    write_byte(out, 2 * length)
    for i in range(length):
        out.data[out.size + i] = <unsigned char>(value >> (8 * (length - 1 - i)))
    out.size += length


cdef inline int write_head(Output* out, int version, i64 offset) except -1:
    """What `processors.states.form` has before each value."""
    reserve(out, HEAD_SIZE)
    write_byte(out, version)
    put_word(out.data + out.size, <u64>offset)
    out.size += HEAD_SIZE - 1
    return 0


cdef inline bytes encoded_number(i64 number):
    """An Avro long by itself."""
    cdef Output out
    begin(&out)
    write_varint(&out, number)  # there is room at the beginning
    return whole(&out)


cdef inline int begin_block(Output* out, Py_ssize_t count) except -1:
    """Begin the one block of an array or map that holds something."""
    reserve(out, LONGEST_NUMBER)
    if count:
        write_varint(out, count)
    return 0


cdef inline int end_block(Output* out) except -1:
    """End an array or map."""
    reserve(out, 1)
    write_byte(out, 0)
    return 0
