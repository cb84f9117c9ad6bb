# cython: language_level=3, boundscheck=False, wraparound=False
"""Writes to sockets without their transports as long as they take everything; `gateway.writing` says what this does, and how."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.string cimport memset
from posix.uio cimport iovec

from gateway.writing import open_file_of, write_or_cut

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    ssize_t sendmsg(int, const msghdr*, int)

cdef enum:
    LOT = 64  # clients written to in a row
    PARTS = 32  # frames of a client that are handed over as they are; more are joined before

cdef struct Order:  # what one client is to get
    int file
    Py_ssize_t size
    Py_ssize_t taken
    msghdr header


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


def flush_all(list clients not None, double now, double since):
    cdef Py_ssize_t again = 0
    cdef Pending client
    cdef list frames, lot = []
    for client in clients:
        again += client.flushed_at > since
        client.flushed_at = now
        if type(client.write) is not SocketWriter or not (<SocketWriter>client.write).is_free():
            client.flush()
        elif client.pending and not client.behind:
            frames, client.pending = client.pending, []
            lot.append((client.write, frames if len(frames) <= PARTS else [joined(frames)], len(frames)))
            if len(lot) == LOT:
                write_lot(lot)
                lot = []
    write_lot(lot)
    return again


cdef int write_lot(list lot) except -1:
    """Write frames to the sockets of writers that are free."""
    cdef Order orders[LOT]
    cdef iovec parts[LOT * PARTS]
    cdef iovec* part = parts
    cdef Order* order = orders
    cdef Py_ssize_t each, messages, count = len(lot)
    cdef SocketWriter writer
    cdef list frames
    cdef bytes frame
    memset(orders, 0, count * sizeof(Order))
    for writer, frames, _ in lot:
        order.file = writer._file
        order.header.msg_iov = part
        order.header.msg_iovlen = len(frames)
        for frame in frames:
            part.iov_base = PyBytes_AS_STRING(frame)
            part.iov_len = PyBytes_GET_SIZE(frame)
            order.size += part.iov_len
            part += 1
        order += 1
    with nogil:
        for each in range(count):
            orders[each].taken = sendmsg(orders[each].file, &orders[each].header, 0)
    for each in range(count):
        order = &orders[each]
        writer, frames, messages = lot[each]
        # A failure shows again when the transport writes, which knows what to do then.
        if order.taken == order.size or writer.write(joined(frames)[max(order.taken, 0):]):
            writer.count(messages, order.size)
    return 0


cdef bytes joined(list frames):
    return frames[0] if len(frames) == 1 else b"".join(frames)
