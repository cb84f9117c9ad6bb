# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Avro bodies of trades and quotes read in C: the records that the codec's own reader makes of them.

Read is what our own codec writes of a feed's stream. Whatever else may stand there, or is damaged, is None: left to the codec.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII

from schemas.named_tuples cimport fill, new
from schemas.native cimport cp, i64, reversed, u64, word_at
from schemas.reading cimport is_same, read_id, read_size, read_varint

from market.quote import Quote
from market.trade import Trade

cdef enum:
    TRADE_FIELDS = 13
    QUOTE_FIELDS = 21
    QUOTE_TIMES = 16  # where the times of a quote begin, behind its figures
    MARKS = 19

cdef type TRADE_TYPE = Trade, QUOTE_TYPE = Quote
cdef object BUY = "buy", SELL = "sell"
if len(Trade._fields) != TRADE_FIELDS or len(Quote._fields) != QUOTE_FIELDS:
    raise ImportError("trades or quotes have other fields than when this was built")


cdef inline bint put_text(object record, Py_ssize_t index, cp* at, cp end):
    """An ASCII text of at most 63 characters."""
    cdef cp text
    cdef int length
    if not read_id(at, end, &text, &length):
        return False
    fill(record, index, PyUnicode_DecodeASCII(<const char*>text, length, NULL))
    return True


cdef inline bint is_given(cp* at, cp end, bint* given):
    """Of a union with null: whether there is a value."""
    cdef unsigned char index
    if at[0] >= end:
        return False
    index = at[0][0]
    at[0] += 1
    given[0] = index == 2
    return index == 0 or index == 2


cdef inline bint put_long(object record, Py_ssize_t index, cp* at, cp end):
    cdef i64 number
    if not read_varint(at, end, &number):
        return False
    fill(record, index, number)
    return True


cdef inline bint put_optional_long(object record, Py_ssize_t index, cp* at, cp end):
    cdef bint given
    if not is_given(at, end, &given):
        return False
    if given:
        return put_long(record, index, at, end)
    fill(record, index, None)
    return True


cdef inline bint put_figure(object record, Py_ssize_t index, cp* at, cp end):
    """A decimal of at most eight bytes."""
    cdef i64 length, i
    cdef u64 bits = 0
    cdef cp p
    if not read_size(at, end, 8, &length):
        return False
    p = at[0]
    if end - p >= 8:
        bits = reversed(word_at(p))
    else:
        for i in range(length):
            bits |= <u64>p[i] << (56 - 8 * i)
    fill(record, index, <i64>bits >> (64 - 8 * length))
    at[0] += length
    return True


cdef inline bint put_optional_figure(object record, Py_ssize_t index, cp* at, cp end):
    cdef bint given
    if not is_given(at, end, &given):
        return False
    if given:
        return put_figure(record, index, at, end)
    fill(record, index, None)
    return True


cdef inline bint put_side(object record, Py_ssize_t index, cp* at, cp end):
    cdef bint given
    if not is_given(at, end, &given):
        return False
    if not given:
        fill(record, index, None)
        return True
    if at[0] >= end or at[0][0] & ~2:
        return False
    fill(record, index, SELL if at[0][0] else BUY)
    at[0] += 1
    return True


cdef inline bint put_ids(object trade, cp* at, cp end, cp own, Py_ssize_t size):
    """The first and last id, which mostly are the trade's own: `size` bytes at `own`, its length among them."""
    if end - at[0] >= 2 * size and is_same(at[0], own, size) and is_same(at[0] + size, own, size):
        fill(trade, 8, trade[1])
        fill(trade, 9, trade[1])
        at[0] += 2 * size
        return True
    return put_text(trade, 8, at, end) and put_text(trade, 9, at, end)


def decode_trade(bytes body):
    """The trade of a body, None where the codec's own reader must look at it."""
    cdef cp p = <cp>PyBytes_AS_STRING(body), end = p + PyBytes_GET_SIZE(body), own
    cdef Py_ssize_t size
    cdef i64 count
    cdef object trade = new(TRADE_TYPE, TRADE_FIELDS)
    if not put_text(trade, 0, &p, end):
        return None
    own = p
    if not put_text(trade, 1, &p, end):
        return None
    size = p - own
    if not (
        put_long(trade, 2, &p, end)
        and put_figure(trade, 3, &p, end)
        and put_figure(trade, 4, &p, end)
        and put_side(trade, 5, &p, end)
        and put_optional_long(trade, 6, &p, end)
        and put_long(trade, 7, &p, end)
        and put_ids(trade, &p, end, own, size)
        and read_varint(&p, end, &count)
        and -0x80000000 <= count <= 0x7FFFFFFF
        and put_optional_long(trade, 11, &p, end)
        and end - p == 1
        and p[0] == 0  # the origin: what did not come by a stream is rare
    ):
        return None
    fill(trade, 10, count)
    fill(trade, 12, None)
    return trade


def decode_quote(bytes body):
    """The quote of a body, None where the codec's own reader must look at it."""
    cdef cp p = <cp>PyBytes_AS_STRING(body), end = p + PyBytes_GET_SIZE(body)
    cdef Py_ssize_t index
    cdef object quote = new(QUOTE_TYPE, QUOTE_FIELDS)
    if not (put_text(quote, 0, &p, end) and put_text(quote, 1, &p, end) and put_optional_long(quote, 2, &p, end)):
        return None
    for index in range(3, QUOTE_TIMES):
        if not put_optional_figure(quote, index, &p, end):
            return None
    if not (
        put_optional_long(quote, QUOTE_TIMES, &p, end)
        and put_long(quote, QUOTE_TIMES + 1, &p, end)
        and put_optional_long(quote, QUOTE_TIMES + 2, &p, end)
        and put_optional_figure(quote, MARKS, &p, end)
        and put_optional_figure(quote, MARKS + 1, &p, end)
        and p == end
    ):
        return None
    return quote
