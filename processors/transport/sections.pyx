# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Records as a Kafka batch holds them, of message format 2: `processors.transport.packing` has the plain twin and the rest."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from processors.encoding.writing cimport LONGEST_NUMBER, Output, begin, end, reserve, whole, write_byte, write_bytes, write_varint
from schemas.native cimport i64

from processors.transport.packing import RECORD_OVERHEAD

cdef i64 overhead = RECORD_OVERHEAD

cdef enum:
    MOST_NUMBERS = 4 * LONGEST_NUMBER  # of a record: its size, its offset, the sizes of key and value; and three single bytes


def section_of(list records):
    """See `processors.transport.packing.section_of`."""
    cdef Output out
    cdef i64 number = 0
    begin(&out)
    try:
        for _, _, key, value in records:
            write_record(&out, number, <bytes?>key if key is not None else None, <bytes?>value if value is not None else None)
            number += 1
        return whole(&out)
    finally:
        end(&out)


def chunks_of(messages, i64 largest):
    """See `processors.transport.packing.chunks_of`."""
    cdef dict found = {}
    cdef dict places = {}  # by topic, then partition: the chunks, and the size of the last
    cdef i64 size, added
    cdef list chunks, known
    for message in messages:
        topic, partition, key, value = <tuple>message
        of_topic = places.get(topic)
        if of_topic is None:
            of_topic = places[topic] = {}
        known = of_topic.get(partition)
        if known is None:
            chunks = found[topic, partition] = [[]]
            known = of_topic[partition] = [chunks, chunks[0], 0]
        added = overhead + (len(<bytes?>key) if key is not None else 0) + (len(<bytes?>value) if value is not None else 0)
        size = <i64>known[2] + added
        if size > largest and len(<list>known[1]):
            size, known[1] = added, []
            (<list>known[0]).append(known[1])
        known[2] = size
        (<list>known[1]).append(message)
    return found


cdef inline int write_record(Output* out, i64 number, bytes key, bytes value) except -1:
    cdef i64 key_size = -1 if key is None else PyBytes_GET_SIZE(key)
    cdef i64 value_size = -1 if value is None else PyBytes_GET_SIZE(value)
    cdef i64 size = 3 + room_of(number) + room_of(key_size) + room_of(value_size) + max(key_size, 0) + max(value_size, 0)
    reserve(out, MOST_NUMBERS + max(key_size, 0) + max(value_size, 0))
    write_varint(out, size)
    write_byte(out, 0)  # attributes, of which none are defined
    write_byte(out, 0)  # later than the batch's time by nothing
    write_varint(out, number)
    write_varint(out, key_size)
    if key is not None:
        write_bytes(out, PyBytes_AS_STRING(key), key_size)
    write_varint(out, value_size)
    if value is not None:
        write_bytes(out, PyBytes_AS_STRING(value), value_size)
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
