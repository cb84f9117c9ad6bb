# cython: language_level=3, boundscheck=False, wraparound=False
"""Writes to sockets without their transports as long as they take everything; `gateway.writing` says what this does, and how."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.string cimport memcpy

from gateway.writing import open_file_of, write_or_cut

cdef extern from "<sys/socket.h>" nogil:
    ssize_t send(int, const void*, size_t, int)

cdef enum:
    LOT = 64  # clients written to in a row
    COPIED = 1 << 16  # bytes that are copied for them: sooner than to hand over many small pieces

cdef struct Order:  # what one client is to get
    int file
    const char* data
    Py_ssize_t size
    Py_ssize_t taken


cdef class Pending:
    cdef public object write
    cdef public list pending
    cdef public bint behind
    cdef public double flushed_at

    def __init__(self, write):
        self.write = write
        self.pending = []
        self.flushed_at = -INFINITY

    cpdef flush(self):
        if self.pending and not self.behind:
            frames, self.pending = self.pending, []
            self.write(frames)


cdef class SocketWriter:
    cdef object _transport
    cdef int _file
    cdef bint _is_held_up  # when last looked at, the transport had bytes to write
    cdef readonly long long messages, size

    def __init__(self, transport):
        self._transport = transport
        self._file = open_file_of(transport)
        self._is_held_up = True

    def __call__(self, list frames):
        data = joined(frames)
        if self.write(data):
            self.count(len(frames), PyBytes_GET_SIZE(data))

    cpdef bint write(self, bytes data) except -1:
        self._is_held_up = True
        return write_or_cut(self._transport, data)

    def close(self):
        self._file = -1

    cdef bint is_free(self) except -1:
        """Whether the socket may be written to directly."""
        if self._is_held_up and self._file >= 0:
            self._is_held_up = self._transport.is_closing() or self._transport.get_write_buffer_size() > 0
        return self._file >= 0 and not self._is_held_up

    cdef void count(self, Py_ssize_t messages, Py_ssize_t size) noexcept:
        self.messages += messages
        self.size += size


def put_all(clients, bytes frame not None, list dirty not None):
    cdef Pending client
    for client in clients:
        if not client.pending:
            dirty.append(client)
        client.pending.append(frame)


def flush_all(list clients not None, double now, double longest):
    cdef Py_ssize_t count = 0
    cdef double seconds = 0
    cdef Pending client
    cdef list frames, lot = []
    for client in clients:
        count += len(client.pending)
        seconds += min(now - client.flushed_at, longest)
        client.flushed_at = now
        if type(client.write) is not SocketWriter or not (<SocketWriter>client.write).is_free():
            client.flush()
        elif client.pending and not client.behind:
            frames, client.pending = client.pending, []
            lot.append((client.write, frames))
            if len(lot) == LOT:
                write_lot(lot)
                lot = []
    write_lot(lot)
    return count, seconds


cdef int write_lot(list lot) except -1:
    """Write frames to the sockets of writers that are free."""
    cdef Order orders[LOT]
    cdef Order* order = orders
    cdef char copies[COPIED]
    cdef char* place = copies
    cdef Py_ssize_t each, size, count = len(lot)
    cdef SocketWriter writer
    cdef list frames, large = []
    cdef bytes frame
    for writer, frames in lot:
        order.file = writer._file
        order.size = 0
        for frame in frames:
            order.size += PyBytes_GET_SIZE(frame)
        if len(frames) > 1 and order.size <= copies + COPIED - place:
            order.data = place
            for frame in frames:
                size = PyBytes_GET_SIZE(frame)
                memcpy(place, PyBytes_AS_STRING(frame), size)
                place += size
        else:
            frame = joined(frames)
            large.append(frame)
            order.data = PyBytes_AS_STRING(frame)
        order += 1
    with nogil:
        for each in range(count):
            orders[each].taken = send(orders[each].file, orders[each].data, orders[each].size, 0)
    for each in range(count):
        order = &orders[each]
        writer, frames = lot[each]
        # A failure shows again when the transport writes, which knows what to do then.
        if order.taken == order.size or writer.write(joined(frames)[max(order.taken, 0):]):
            writer.count(len(frames), order.size)
    return 0


cdef bytes joined(list frames):
    return frames[0] if len(frames) == 1 else b"".join(frames)
