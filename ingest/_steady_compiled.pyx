# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`ingest.steady.PlainSteady` in C."""

from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from schemas.native cimport i64

from ingest.feed import Parsed
from market.quote import Quote
from market.trade import Trade

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object)
    bint PyUnicode_IS_COMPACT_ASCII(object)
    void* PyUnicode_1BYTE_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)

cdef enum:
    NO_NUMBER = -1
    LONGEST_NUMBER = 18


cdef inline i64 number_of(object text) noexcept:
    """The number that a text of digits is; NO_NUMBER for any other."""
    cdef Py_ssize_t length, index
    cdef const unsigned char* data
    cdef i64 number = 0
    if not PyUnicode_CheckExact(text) or not PyUnicode_IS_COMPACT_ASCII(text):
        return NO_NUMBER
    length = PyUnicode_GET_LENGTH(text)
    if length == 0 or length > LONGEST_NUMBER:
        return NO_NUMBER
    data = <const unsigned char*>PyUnicode_1BYTE_DATA(text)
    for index in range(length):
        if data[index] < 48 or data[index] > 57:
            return NO_NUMBER
        number = number * 10 + (data[index] - 48)
    return number


cdef inline bint is_canonical(object text) noexcept:
    """Whether a text of digits is how its number is written."""
    return PyUnicode_GET_LENGTH(text) == 1 or (<const unsigned char*>PyUnicode_1BYTE_DATA(text))[0] != 48


cdef inline object item(object record, Py_ssize_t index):
    return <object>PyTuple_GET_ITEM(record, index)


cdef inline int count(object counter, object key) except -1:
    """One more, as a Counter has it."""
    cdef PyObject* before = PyDict_GetItem(counter, key)
    PyDict_SetItem(counter, key, 1 if before is NULL else <object>before + 1)
    return 0


cdef class Steady:
    """See `ingest.steady.PlainSteady`."""

    cdef public object parse, last_data, heard_at
    cdef object _counts, _heartbeats
    cdef object _received, _records  # counters of the counts
    cdef dict _trades, _quotes  # by channel, then by instrument

    def __init__(self, parse, counts, heartbeats):
        self.parse = parse
        self._counts, self._heartbeats = counts, heartbeats
        self._received, self._records = counts.received, counts.records
        self._trades, self._quotes = {}, {}

    def note_quotes(self, instrument, channel):
        """See `PlainSteady.note_quotes`."""
        (<dict>self._quotes.setdefault(channel, {}))[instrument] = True

    def note_trades(self, instrument, channel, known):
        """See `PlainSteady.note_trades`."""
        (<dict>self._trades.setdefault(channel, {}))[instrument] = known

    def forget(self):
        """See `PlainSteady.forget`."""
        self._trades.clear()
        self._quotes.clear()

    def take(self, frame, at):
        """See `PlainSteady.take`."""
        cdef object channel, found, record
        cdef PyObject* known
        self._counts.frames += 1
        parsed = self.parse(frame, at)
        if type(parsed) is tuple:
            channel, record = parsed
            parsed = Parsed(channel, (record,))
        elif type(parsed) is not Parsed:
            return parsed
        channel, found = item(parsed, 0), item(parsed, 1)
        if type(found) is not tuple or PyTuple_GET_SIZE(found) != 1 or item(parsed, 2) or item(parsed, 3):
            return parsed
        if channel in self._heartbeats:
            return parsed
        record = item(found, 0)
        if type(record) is Trade:
            known = known_of(self._trades, channel, item(record, 0))
            if known is NULL or not follows(<object>known, record):
                return parsed
        elif type(record) is not Quote or known_of(self._quotes, channel, item(record, 0)) is NULL:
            return parsed
        count(self._received, channel)
        count(self._records, type(record))
        self.last_data = at
        self.heard_at = at
        return record


cdef inline PyObject* known_of(dict streams, object channel, object instrument):
    """What is known of a steady stream, NULL of any other."""
    cdef PyObject* found = PyDict_GetItem(streams, channel)
    return NULL if found is NULL else PyDict_GetItem(<object>found, instrument)


cdef bint follows(object known, object trade) except -1:
    """As `ingest.steady` has it."""
    cdef int overflow
    cdef i64 number, last
    cdef object sequence = item(trade, 2), trade_id = item(trade, 1), last_id = item(trade, 9), seen = known.seen
    if not PyLong_CheckExact(sequence):
        return False
    number = PyLong_AsLongLongAndOverflow(sequence, &overflow)
    if overflow or number <= 0 or number_of(trade_id) != number or not is_canonical(trade_id):
        return False
    if <i64>seen.last + 1 != number:
        return False
    if last_id is trade_id or last_id == trade_id:
        if item(trade, 8) is not last_id and item(trade, 8) != last_id:
            return False  # it sums up several under the id of the last
        last = number
    else:
        last = number_of(last_id)
    known.is_up, known.was_down = True, False
    seen.last = sequence
    event_time = item(trade, 7) if item(trade, 6) is None else item(trade, 6)
    if event_time > known.latest:
        known.latest = event_time
    if last == NO_NUMBER:
        known.last_id = None
    elif known.last_id is None or <i64>known.last_id < last:
        known.last_id = last
    return True
