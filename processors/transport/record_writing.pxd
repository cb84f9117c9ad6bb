# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Writing of records as a Kafka batch holds them, of message format 2."""

from cpython.bytes cimport PyBytes_AS_STRING

from processors.encoding.writing cimport LONGEST_NUMBER, Output, reserve, write_byte, write_bytes, write_varint
from schemas.native cimport i64

cdef enum:
    MOST_NUMBERS = 4 * LONGEST_NUMBER  # of a record: its size, its offset, the sizes of key and value; and three single bytes


cdef inline int write_record(
    Output* out, i64 number, const void* key, i64 key_size, const void* value, i64 value_size
) except -1:
    """The record of this number in its batch; a size below zero, which is -1, stands for null."""
    cdef i64 size = 3 + room_of(number) + room_of(key_size) + room_of(value_size) + max(key_size, 0) + max(value_size, 0)
    reserve(out, MOST_NUMBERS + max(key_size, 0) + max(value_size, 0))
    write_varint(out, size)
    write_byte(out, 0)  # attributes, of which none are defined
    write_byte(out, 0)  # later than the batch's time by nothing
    write_varint(out, number)
    write_varint(out, key_size)
    if key_size > 0:
        write_bytes(out, key, key_size)
    write_varint(out, value_size)
    if value_size > 0:
        write_bytes(out, value, value_size)
    write_byte(out, 0)  # no headers
    return 0


cdef inline int room_of(i64 value) noexcept:
    """Bytes that `write_varint` takes for a number."""
    cdef int size = 1
    value = value << 1 ^ value >> 63
    while value > 127:
        value >>= 7
        size += 1
    return size


cdef inline i64 size_of(bytes part):
    """The size of a key or value, -1 for None."""
    return -1 if part is None else len(part)


cdef inline const void* text_of(bytes part):
    """Where a key or value lies, NULL for None."""
    return NULL if part is None else PyBytes_AS_STRING(part)
