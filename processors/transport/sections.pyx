# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Records as a Kafka batch holds them: `processors.transport.layout` and `processors.transport.packing` have the plain twins."""

from processors.encoding.writing cimport Output, begin, end, whole
from processors.transport.record_writing cimport size_of, text_of, write_record
from schemas.native cimport i64

from processors.transport.layout import RECORD_OVERHEAD, Section

cdef i64 overhead = RECORD_OVERHEAD


def section_of(list records):
    """See `processors.transport.layout.section_of`."""
    cdef Output out
    cdef i64 number = 0
    cdef bytes key, value
    begin(&out)
    try:
        for _, _, found_key, found_value in records:
            key, value = found_key, found_value
            write_record(&out, number, text_of(key), size_of(key), text_of(value), size_of(value))
            number += 1
        return whole(&out)
    finally:
        end(&out)


def chunks_of(outputs, i64 largest):
    """See `processors.transport.packing.chunks_of`."""
    cdef dict found = {}
    cdef dict places = {}  # by topic, then partition: the chunks, and the last of them with its size while it may grow
    cdef i64 size
    cdef list known
    cdef object records
    for output in outputs:
        if type(output) is Section:
            topic, partition = output.place
        else:
            topic, partition, key, value = <tuple>output
        of_topic = places.get(topic)
        if of_topic is None:
            of_topic = places[topic] = {}
        known = of_topic.get(partition)
        if known is None:
            known = of_topic[partition] = [[], None, 0]
            found[topic, partition] = known[0]
        if type(output) is Section:
            (<list>known[0]).append(output)
            known[1] = None
            continue
        size = overhead + max(size_of(key), 0) + max(size_of(value), 0)
        records = known[1]
        if records is None or <i64>known[2] + size > largest:
            known[1] = records = []
            (<list>known[0]).append(records)
            known[2] = 0
        known[2] = <i64>known[2] + size
        (<list>records).append(output)
    return found
