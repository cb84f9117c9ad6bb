# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled encoders of candle events and candle state: one pass over the objects of `market`, straight to Avro.

They know the layouts of `candle.avsc` and `processors.state_schemas`, and the plain types that those classes are declared with.
Whatever is not quite that (a number beyond 128 bits or its field, a subclass, a text that is no Unicode) is left to
`processors.encoding.plain`, which encodes it or says what is wrong with it.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.mem cimport PyMem_Realloc
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_CheckExact
from libc.string cimport memcpy

from processors.native cimport TEN_TO_38, i64, i128, leading_zeros, reversed, u64

from market.candle import Candle, CandleEvent, CandleEventKind, TradePoint
from market.candle_series import ClosedCandle, OpenCandle, SeriesState
from market.gaps import Gap
from processors.encoding import plain

cdef enum:
    ROOM = 32  # more than any number takes
    FIRST_CAPACITY = 4096

cdef class Unusual(Exception):
    """Not what this module encodes."""


cdef unsigned char* buffer = NULL  # one for all: nothing below gives way to another thread between its first byte and its last
cdef Py_ssize_t capacity = 0
cdef Py_ssize_t size = 0

KINDS = {kind: number for number, kind in enumerate(CandleEventKind)}
