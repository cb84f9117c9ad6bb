# cython: language_level=3
from processors.encoding.writing cimport Output
from schemas.native cimport i64


cdef struct Pile:  # records of one topic and partition since its last section ended
    Output section
    i64 count
    i64 size  # of keys and values, as `processors.transport.packing` counts it


cdef class Outbox:
    cdef list places  # topic and partition, by the number of their pile
    cdef dict numbers
    cdef Pile** piles
    cdef int count  # of the piles
    cdef list sections
    cdef i64 largest

    cdef int place(self, str topic, int partition) except -1
    cdef int add(self, int place, const void* key, i64 key_size, const void* value, i64 value_size) except -1

    cdef int add_place(self, tuple place) except -1
    cdef int cut(self, int place) except -1
