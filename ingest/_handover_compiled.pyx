# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`ingest.handover.hand_over_plainly` and `tally_plainly` in C."""

from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM

from schemas.native cimport i64

from ingest.handover import NOT_ORDINARY
from market.trade import Trade

cdef enum:
    RECEIVED_AT = 7  # of a trade


cdef inline object item(object record, Py_ssize_t index):
    return <object>PyTuple_GET_ITEM(record, index)


def hand_over(dict ways, produce, list records not None, Py_ssize_t begin, Py_ssize_t end, now, list delays not None):
    """See `ingest.handover.hand_over_plainly`."""
    cdef Py_ssize_t done = begin
    cdef PyObject* known
    cdef PyObject* found
    cdef object record, way, place
    cdef i64 at = now
    try:
        while done < end:
            record = records[done]
            known = PyDict_GetItem(ways, type(record))
            if known is NULL:
                break
            way = <object>known
            found = PyDict_GetItem(item(way, 5), item(record, 0))
            if found is NULL:
                break
            place = <object>found
            produce(item(way, 1), item(way, 3)(record, item(way, 4), now), item(place, 0), item(place, 1), item(way, 2))
            if type(record) is Trade:
                delays.append(max(0, at - <i64>item(record, RECEIVED_AT)))
            done += 1
    except NOT_ORDINARY:  # nothing was done with it
        pass
    return done


def tally(delivered, topic, failed):
    """See `ingest.handover.tally_plainly`."""
    return Tally(delivered, topic, failed)


cdef class Tally:

    cdef object _delivered, _topic, _failed

    def __init__(self, delivered, topic, failed):
        self._delivered, self._topic, self._failed = delivered, topic, failed

    def __call__(self, error, _message):
        cdef PyObject* before
        if error is not None:
            self._failed(error, self._topic)
            return
        before = PyDict_GetItem(self._delivered, self._topic)
        PyDict_SetItem(self._delivered, self._topic, 1 if before is NULL else <object>before + 1)
