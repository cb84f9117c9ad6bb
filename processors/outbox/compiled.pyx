# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled outbox: records are laid out as their batches will hold them the moment they are told.

Its sections are cut where `processors.transport.packing` cuts chunks, and hold the same bytes.
"""

from libc.stdlib cimport calloc, free, realloc

from processors.encoding.writing cimport begin, end, whole
from processors.transport.record_writing cimport size_of, text_of, write_record

from processors.transport.layout import LARGEST, RECORD_OVERHEAD, Section

cdef i64 overhead = RECORD_OVERHEAD


cdef class Outbox:
    """See `processors.outbox.protocol.Outbox`. `largest` is for tests."""

    def __cinit__(self, i64 largest=LARGEST):
        self.places, self.numbers, self.sections = [], {}, []
        self.largest = largest

    def __dealloc__(self):
        cdef int i
        for i in range(self.count):
            end(&self.piles[i].section)
            free(self.piles[i])
        free(self.piles)

    def append(self, message):
        cdef bytes key, value
        topic, partition, key, value = <tuple>message
        self.add(self.place(topic, partition), text_of(key), size_of(key), text_of(value), size_of(value))

    def take(self):
        cdef int i
        cdef list found
        for i in range(self.count):
            if self.piles[i].count:
                self.cut(i)
                end(&self.piles[i].section)  # one that tells no more shall not hold its memory
                begin(&self.piles[i].section)
        found, self.sections = self.sections, []
        return found

    cdef int place(self, str topic, int partition) except -1:
        """The number of a topic and partition."""
        found = topic, partition
        number = self.numbers.get(found)
        return self.add_place(found) if number is None else number

    cdef int add_place(self, tuple place) except -1:
        cdef int number = self.count
        cdef Pile** piles = <Pile**>realloc(self.piles, (number + 1) * sizeof(Pile*))
        if not piles:
            raise MemoryError
        self.piles = piles
        piles[number] = <Pile*>calloc(1, sizeof(Pile))
        if not piles[number]:
            raise MemoryError
        begin(&piles[number].section)
        self.count += 1
        self.places.append(place)
        self.numbers[place] = number
        return number

    cdef int add(self, int place, const void* key, i64 key_size, const void* value, i64 value_size) except -1:
        """Add a record for the place of that number; a size of -1 stands for null."""
        cdef Pile* pile = self.piles[place]
        cdef i64 size = overhead + max(key_size, 0) + max(value_size, 0)
        if pile.size + size > self.largest and pile.count:
            self.cut(place)
        write_record(&pile.section, pile.count, key, key_size, value, value_size)
        pile.count += 1
        pile.size += size
        return 0

    cdef int cut(self, int place) except -1:
        """End a section."""
        cdef Pile* pile = self.piles[place]
        self.sections.append(Section(self.places[place], pile.count, whole(&pile.section)))
        pile.section.size = pile.count = pile.size = 0
        return 0
