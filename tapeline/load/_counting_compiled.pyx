# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`tapeline.load.counting.PlainReader`, sooner: what a load takes of the processor, the gateway it measures has not."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memcpy
from posix.unistd cimport read

from schemas.native cimport cp, i64, u64

import os

from tapeline.load.counting import LONGEST_CLOSE, READ_BYTES, STEP, close_code_of

cdef extern from "<string.h>" nogil:
    cp memmem(const void*, size_t, const void*, size_t)

cdef enum:
    CARRY = 64  # more than the longest marker
    ROOM = 1 << 18
    TAIL = 127

assert TAIL == LONGEST_CLOSE and ROOM == READ_BYTES

cdef i64 step = STEP
cdef unsigned char BUFFER[CARRY + ROOM]  # one for all, behind what was carried over from the chunk before
cdef u64 CHANCE = 88172645463325252


cdef class Reader:
    cdef bytes _marker
    cdef unsigned char[CARRY] _carry
    cdef unsigned char[TAIL] _last
    cdef int _carried, _tail, _sampled
    cdef readonly bint is_pinged

    def __init__(self, str message_type, int sampled=1):
        self._marker = b'"type":"%b"' % message_type.encode()
        if PyBytes_GET_SIZE(self._marker) > CARRY:
            raise ValueError(f"the name of a message type is too long: {message_type}")
        self._sampled = sampled

    def read(self, int file, i64 now, tally, i64 most=ROOM):
        cdef ssize_t size = read(file, BUFFER + CARRY, min(most, ROOM))
        if size > 0:
            self.count(size, now, tally)
        elif size < 0:
            if errno == EAGAIN or errno == EINTR:
                return -1
            raise OSError(errno, os.strerror(errno))
        return size

    def take(self, bytes chunk, i64 now, tally):
        cdef Py_ssize_t done = 0, part
        while done < PyBytes_GET_SIZE(chunk):
            part = min(PyBytes_GET_SIZE(chunk) - done, ROOM)
            memcpy(BUFFER + CARRY, PyBytes_AS_STRING(chunk) + done, part)
            self.count(part, now, tally)
            done += part

    @property
    def close_code(self):
        return close_code_of(bytes(self._last[: self._tail]))

    cdef int count(self, Py_ssize_t size, i64 now, tally) except -1:
        """Count what stands in the buffer."""
        cdef cp marker = <cp>PyBytes_AS_STRING(self._marker)
        cdef Py_ssize_t width = PyBytes_GET_SIZE(self._marker)
        cdef unsigned char* data = BUFFER + CARRY - self._carried
        cdef Py_ssize_t length = self._carried + size
        cdef cp end = data + length
        cdef cp found
        cdef i64 messages = 0
        memcpy(data, self._carry, self._carried)
        found = memmem(data, length, marker, width)
        while found is not NULL:
            messages += 1
            found += width
            found = memmem(found, end - found, marker, width)
        self.is_pinged = memmem(data, length, b"\x89\x00", 2) is not NULL
        self._carried = <int>min(length, width - 1)
        memcpy(self._carry, end - self._carried, self._carried)
        self._tail = <int>min(length, TAIL)
        memcpy(self._last, end - self._tail, self._tail)
        tally.received_bytes += size
        if messages:
            tally.messages += messages
            if chance(self._sampled) == 0:
                self.sample(data, end, now, tally, messages * self._sampled)
        return 0

    cdef int sample(self, cp data, cp end, i64 now, tally, i64 weight) except -1:
        cdef cp marker = <cp>PyBytes_AS_STRING(self._marker)
        cdef Py_ssize_t width = PyBytes_GET_SIZE(self._marker)
        cdef cp place = data + chance(end - data)
        cdef i64 sent, received
        place = memmem(place, end - place, marker, width)
        if place is NULL:
            place = memmem(data, end - data, marker, width)
        if place is NULL:
            return 0  # it began in the chunk before
        sent = number_after(&place, end, b'"timestamp":', 12)
        if sent < 0:
            return 0
        received = number_after(&place, end, b'"received_at":', 14)
        tally.since_sent[max(now - sent, 0) // step] += weight
        if received >= 0:
            tally.since_received[max(now - received, 0) // step] += weight
        return 0


cdef i64 number_after(cp* place, cp end, const char* name, Py_ssize_t width) noexcept nogil:
    """The next number of this name, -1 when there is none or it may go on behind the end; `place` moves behind it."""
    cdef cp p = memmem(place[0], end - place[0], name, width)
    cdef i64 number = 0
    if p is NULL:
        return -1
    p += width
    place[0] = p
    while p < end and c"0" <= p[0] <= c"9":
        number = number * 10 + p[0] - c"0"
        p += 1
    return number if place[0] < p < end else -1


cdef u64 chance(u64 among) noexcept nogil:
    """One of so many numbers from zero on, by xorshift (Marsaglia 2003, "Xorshift RNGs")."""
    global CHANCE
    CHANCE ^= CHANCE << 13
    CHANCE ^= CHANCE >> 7
    CHANCE ^= CHANCE << 17
    return CHANCE % among
