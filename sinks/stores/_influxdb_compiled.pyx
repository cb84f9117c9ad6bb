# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Trades from Kafka's bytes straight to rows of lines: what `sinks.translation` and `_influxdb_lines` make of them, sooner.

Known is one way to write a trade, that of our own codec, and ids that a line takes as they are. What is otherwise, or is not
valid, is left to those two, which store it or say what is wrong with it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII

from schemas.native cimport cp, i64, i128, u64
from schemas.trade_reading cimport Body, Rules
from schemas.trade_values cimport read_value
from schemas.writing cimport put, put_signed

from market.decimals import AMOUNT_SCALE, SCALE
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.quality import EARLIEST, LATEST
from schemas.topics import TRADES
from sinks.store import Entry, KafkaRecord
from sinks.stores._influxdb_lines import Row

cdef enum:
    ROOM = 256  # for fields: an id of 63, three numbers, and their names
    MOST_SERIES = 65_536

cdef i64 EXACT = 1 << 53  # whole numbers up to here are floats too
cdef double ONE_FLOAT = 10.0**SCALE
cdef object ONE = 10**SCALE, ONE_AMOUNT = 10**AMOUNT_SCALE
cdef object new = tuple.__new__
cdef object TOPIC = TRADES.name
cdef tuple SIDES = (None, "buy", "sell")


cdef class TradeReader:
    """Reads the trades whose values begin with this header; `max_skew` as `sinks.translation` has it.

    `series` gives the series of an instrument and side, or raises DataValidationError for one that is not to be stored.
    """

    cdef bytes _header
    cdef Rules _rules
    cdef object _series
    cdef dict _known  # the series of each instrument's key, by side

    def __init__(self, bytes header, i64 max_skew, series):
        self._header = header
        self._rules = Rules(EARLIEST, LATEST, max_skew)
        self._series = series
        self._known = {}

    def __call__(self, source):
        """The entry of a record, None for one that must be read as all others are."""
        cdef Body body
        if type(source) is not KafkaRecord or source.topic != TOPIC:
            return None
        if not read_value(source.key, source.value, self._header, &self._rules, source.timestamp_ms, &body) or not is_plain(
            body.trade_id, body.id_length
        ):
            return None
        series = self._series_of(source.key, body.side + 1)
        return None if series is None else entry(source, series, &body)

    cdef object _series_of(self, bytes key, int side):
        """The series of this key, None where it is none to store."""
        cdef list found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_SERIES:
                self._known.clear()
            found = self._known[key] = [None, None, None]
        if found[side] is None:
            try:
                found[side] = self._series(check_instrument(key.decode("ascii")), SIDES[side])
            except (UnicodeDecodeError, DataValidationError):
                return None
        return found[side]


cdef object entry(source, series, const Body* body):
    """As `_influxdb_lines` makes the row of a trade."""
    cdef char fields[ROOM]
    cdef char* p = fields
    put(&p, 'trade_id="', 10)
    put(&p, <const char*>body.trade_id, body.id_length)
    put(&p, '",sequence=', 11)
    put_signed(&p, body.sequence)
    put(&p, "i,trade_count=", 14)
    put_signed(&p, body.count)
    put(&p, "i,received_at=", 14)
    put_signed(&p, body.received_at)
    put(&p, "i", 1)
    price, size = whole(body.price), whole(body.size)
    figures = scaled(body.price, price), scaled(body.size, size), price * size / ONE_AMOUNT
    trade_id = PyUnicode_DecodeASCII(<const char*>body.trade_id, body.id_length, NULL)
    text = PyUnicode_DecodeASCII(fields, p - fields, NULL)
    time = body.exchange_time or body.received_at
    row = new(Row, ("trades", series, time, text, body.sequence, trade_id, None, (), figures))
    return new(Entry, (source, row, body.received_at))


cdef inline object whole(i128 value):
    """A number above zero."""
    if value >> 63:
        return (<object><u64>(value >> 63) << 63) | <object><u64>(value & 0x7FFFFFFFFFFFFFFF)
    return <u64>value


cdef inline object scaled(i128 value, object same):
    """The float nearest to a figure; up to EXACT both are floats already, whose quotient is rounded once."""
    if value <= EXACT:
        return <double>(<i64>value) / ONE_FLOAT
    return same / ONE


cdef inline bint is_plain(cp p, int length) noexcept:
    """Whether a field takes a text of ASCII characters as it is."""
    cdef int i
    for i in range(length):
        if p[i] < 32 or p[i] == 34 or p[i] == 92:  # a quote, a backslash
            return False
    return True
