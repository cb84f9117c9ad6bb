# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Frames of Binance's trades and book tickers in C: what `_binance_frames` makes of them, sooner.

Known is a combined frame of one stream whose message is flat, with names of one letter, each once, and plain ASCII texts, as
the venue writes them; in any order. What is otherwise, or is not valid, is left to the plain way, which says what is wrong.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memchr, memcmp, memset

from schemas.named_tuples cimport fill, new
from schemas.native cimport cp, i64, i128, u64

from ingest.feed import Parsed
from market.decimals import SCALE
from market.quality import EARLIEST, LATEST
from market.quote import Quote
from market.trade import Trade

cdef enum:
    TRADE, AGGREGATE, BOOK_TICKER
    NAMES = 128
    FIRST_NAME = 11  # the place of the stream's name
    MOST_DIGITS = 12  # before the point, and behind it: a product of two then has no more than 48
    TRADE_FIELDS = 13
    QUOTE_FIELDS = 21

KINDS = ("trade", "aggTrade", "bookTicker")

cdef type TRADE_TYPE = Trade, QUOTE_TYPE = Quote, PARSED_TYPE = Parsed
cdef i64 BEGIN_OF_TIMES = EARLIEST, END_OF_TIMES = LATEST
cdef i64 ONE = 10**SCALE
cdef i64[13] POWERS
cdef object BUY = "buy", SELL = "sell", NOTHING = ()
assert SCALE == MOST_DIGITS
POWERS[:] = [10**exponent for exponent in range(13)]

cdef struct Field:  # where the value of a name stands; of a text between its quotes
    cp at
    int length
    char kind  # the character it begins with; 0 where there is none


cdef inline bint read_fields(cp p, cp end, Field* fields) noexcept:
    """The members of a flat object behind its brace, up to the end of the frame."""
    cdef cp begin
    cdef Field* field
    cdef unsigned char first
    while True:
        if end - p < 6 or p[0] != 34 or p[1] >= NAMES or p[1] < 65 or p[2] != 34 or p[3] != 58:
            return False
        field = &fields[p[1]]
        if field.kind:
            return False
        p += 4
        first = p[0]
        begin = p
        if first == 34:  # a text
            p += 1
            begin = p
            while p < end and p[0] != 34:
                if p[0] < 32 or p[0] > 126 or p[0] == 92:
                    return False
                p += 1
            field.at, field.length = begin, <int>(p - begin)
            p += 1
        elif first >= 48 and first <= 57:
            while p < end and p[0] >= 48 and p[0] <= 57:
                p += 1
            field.at, field.length = begin, <int>(p - begin)
            if first == 48 and field.length > 1:
                return False
        elif end - p >= 4 and memcmp(p, <const char*>b"true", 4) == 0:
            p += 4
        elif end - p >= 5 and memcmp(p, <const char*>b"false", 5) == 0:
            p += 5
        else:
            return False
        field.kind = first
        if end - p < 2:
            return False
        if p[0] == 125:
            return p[1] == 125 and end - p == 2
        if p[0] != 44:
            return False
        p += 1


cdef inline bint read_whole(const Field* field, int most, i64* out) noexcept:
    """A number of at most so many digits (18)."""
    cdef int i
    cdef i64 value = 0
    if field.kind < 48 or field.kind > 57 or field.length > most:
        return False
    for i in range(field.length):
        value = value * 10 + (field.at[i] - 48)
    out[0] = value
    return True


cdef inline bint read_decimal(const Field* field, i128* out) noexcept:
    """Digits, or digits with a point among them."""
    cdef cp p = field.at, end = field.at + field.length, begin
    cdef i64 whole = 0, fraction = 0
    if field.kind != 34:
        return False
    begin = p
    while p < end and p[0] >= 48 and p[0] <= 57:
        whole = whole * 10 + (p[0] - 48)
        p += 1
        if p - begin > MOST_DIGITS:
            return False
    if p == begin:
        return False
    if p < end:
        if p[0] != 46:
            return False
        p += 1
        begin = p
        while p < end and p[0] >= 48 and p[0] <= 57:
            fraction = fraction * 10 + (p[0] - 48)
            p += 1
            if p - begin > MOST_DIGITS:
                return False
        if p < end:
            return False
        fraction *= POWERS[MOST_DIGITS - (p - begin)]
    out[0] = <i128>whole * ONE + fraction
    return True


cdef inline object number(i128 value):
    """A number that is not negative."""
    if value >> 63:
        return (<object><u64>(value >> 63) << 63) | <object><u64>(value & 0x7FFFFFFFFFFFFFFF)
    return <u64>value


cdef inline object text(const Field* field):
    return PyUnicode_DecodeASCII(<const char*>field.at, field.length, NULL)


cdef class TickReader:
    """Reads the frames of one stream; `channel` is one of KINDS, the rest as `_binance_frames` knows of the stream."""

    cdef int _kind
    cdef bytes _head, _symbol
    cdef object _channel, _instrument
    cdef i64 _max_skew

    def __init__(self, str channel, str stream, str symbol, str instrument, i64 max_skew):
        self._kind = KINDS.index(channel)
        self._head = b'{"stream":"' + stream.encode() + b'","data":{'
        self._symbol = symbol.encode()
        self._channel, self._instrument = channel, instrument
        self._max_skew = max_skew

    cdef inline bint reads(self, bytes frame) noexcept:
        """Whether a frame is one of the stream."""
        cdef Py_ssize_t head = PyBytes_GET_SIZE(self._head)
        return PyBytes_GET_SIZE(frame) >= head and memcmp(PyBytes_AS_STRING(frame), PyBytes_AS_STRING(self._head), head) == 0

    cdef object read(self, bytes frame, object received):
        """What a parser makes of a frame of the stream with one record, None for one that must be read the plain way."""
        cdef Field[NAMES] fields
        cdef cp p = <cp>PyBytes_AS_STRING(frame)
        cdef i64 at = received
        memset(&fields[65], 0, (NAMES - 65) * sizeof(Field))
        if not read_fields(p + PyBytes_GET_SIZE(self._head), p + PyBytes_GET_SIZE(frame), fields):
            return None
        if not self._is_of_symbol(&fields[b"s"[0]]) or at < BEGIN_OF_TIMES or at >= END_OF_TIMES:
            return None
        record = self._quote(fields, at, received) if self._kind == BOOK_TICKER else self._trade(fields, at, received)
        if record is None:
            return None
        records = (record,)
        parsed = new(PARSED_TYPE, 4)
        fill(parsed, 0, self._channel)
        fill(parsed, 1, records)
        fill(parsed, 2, NOTHING)
        fill(parsed, 3, NOTHING)
        return parsed

    cdef inline bint _is_of_symbol(self, const Field* field) noexcept:
        return (
            field.kind == 34
            and field.length == PyBytes_GET_SIZE(self._symbol)
            and memcmp(field.at, PyBytes_AS_STRING(self._symbol), field.length) == 0
        )

    cdef inline bint _is_time(self, const Field* field, i64 received_at, i64* out) noexcept:
        """A time in milliseconds, believed where `check_time` believes it."""
        if not read_whole(field, 15, out):
            return False
        out[0] *= 1000
        return out[0] >= BEGIN_OF_TIMES and out[0] < END_OF_TIMES and out[0] <= received_at + self._max_skew

    cdef object _trade(self, const Field* fields, i64 at, object received):
        cdef const Field* numbered = &fields[b"t"[0]] if self._kind == TRADE else &fields[b"a"[0]]
        cdef i64 sequence, time, first, last, count = 1
        cdef i128 price, size
        cdef char maker = fields[b"m"[0]].kind
        if not (
            read_whole(numbered, 18, &sequence)
            and read_decimal(&fields[b"p"[0]], &price)
            and read_decimal(&fields[b"q"[0]], &size)
            and price > 0
            and size > 0
            and self._is_time(&fields[b"T"[0]], at, &time)
            and (maker == 116 or maker == 102)  # true or false
        ):
            return None
        trade_id = first_id = last_id = text(numbered)
        if self._kind == AGGREGATE:
            if not read_whole(&fields[b"f"[0]], 18, &first) or not read_whole(&fields[b"l"[0]], 18, &last):
                return None
            count = last - first + 1
            if count < 1 or count > 0x7FFFFFFF:
                return None
            first_id = text(&fields[b"f"[0]])
            last_id = first_id if count == 1 else text(&fields[b"l"[0]])
        elif fields[b"X"[0]].kind and not is_market(&fields[b"X"[0]]):
            return None
        trade = new(TRADE_TYPE, TRADE_FIELDS)
        fill(trade, 0, self._instrument)
        fill(trade, 1, trade_id)
        fill(trade, 2, sequence)
        fill(trade, 3, number(price))
        fill(trade, 4, number(size))
        fill(trade, 5, SELL if maker == 116 else BUY)
        fill(trade, 6, time)
        fill(trade, 7, received)
        fill(trade, 8, first_id)
        fill(trade, 9, last_id)
        fill(trade, 10, count)
        fill(trade, 11, None)
        fill(trade, 12, None)
        return trade

    cdef object _quote(self, const Field* fields, i64 at, object received):
        cdef i64 sequence, time = 0
        cdef i128 bid, bid_size, ask, ask_size
        cdef Py_ssize_t index
        if not (
            read_whole(&fields[b"u"[0]], 18, &sequence)
            and read_decimal(&fields[b"b"[0]], &bid)
            and read_decimal(&fields[b"B"[0]], &bid_size)
            and read_decimal(&fields[b"a"[0]], &ask)
            and read_decimal(&fields[b"A"[0]], &ask_size)
            and (fields[b"T"[0]].kind == 0 or self._is_time(&fields[b"T"[0]], at, &time))
        ):
            return None
        quote = new(QUOTE_TYPE, QUOTE_FIELDS)
        fill(quote, 0, self._instrument)
        fill(quote, 1, self._channel)
        fill(quote, 2, sequence)
        fill(quote, 3, number(bid) if bid else None)
        fill(quote, 4, number(bid_size) if bid_size else None)
        fill(quote, 5, number(ask) if ask else None)
        fill(quote, 6, number(ask_size) if ask_size else None)
        for index in range(7, 16):
            fill(quote, index, None)
        fill(quote, 16, time if fields[b"T"[0]].kind else None)
        fill(quote, 17, received)
        for index in range(18, QUOTE_FIELDS):
            fill(quote, index, None)
        return quote


cdef class TickReaders:
    """The readers of a connection's streams; `plainly` reads what they do not know."""

    cdef dict _readers
    cdef TickReader _last  # the same stream often tells several times
    cdef object _plainly

    def __init__(self, plainly):
        self._readers, self._last, self._plainly = {}, None, plainly

    def add(self, str stream, TickReader reader not None):
        """Have the frames of a stream read by this one."""
        self._readers[stream.encode()] = reader

    def parse(self, frame, received_at):
        """See `ingest.feed.Parser.parse`."""
        parsed = self.read(frame, received_at)
        return self._plainly(frame, received_at) if parsed is None else parsed

    cpdef object read(self, object frame, object received_at):
        """What the reader of the frame's stream makes of it, None where it knows no such frame or there is no reader."""
        cdef cp begin, end
        cdef TickReader reader = self._last
        if not PyBytes_CheckExact(frame) or PyBytes_GET_SIZE(frame) <= FIRST_NAME:
            return None
        if reader is None or not reader.reads(<bytes>frame):
            begin = <cp>PyBytes_AS_STRING(frame) + FIRST_NAME
            end = <cp>memchr(begin, 34, PyBytes_GET_SIZE(frame) - FIRST_NAME)
            if end is NULL:
                return None
            reader = self._readers.get(PyBytes_FromStringAndSize(<const char*>begin, end - begin))
            if reader is None or not reader.reads(<bytes>frame):
                return None
            self._last = reader
        return reader.read(<bytes>frame, received_at)


cdef inline bint is_market(const Field* field) noexcept:
    return field.kind == 34 and field.length == 6 and memcmp(field.at, <const char*>b"MARKET", 6) == 0
