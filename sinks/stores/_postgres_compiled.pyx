# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Trades from Kafka's bytes straight to COPY text: what `sinks.translation` and `_postgres_rows` make of them, sooner.

Known is one way to write a trade, that of our own codec, and ids that COPY takes as they are. What is otherwise, or is not
valid, is left to those two, which store it or say what is wrong with it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM
from cpython.unicode cimport PyUnicode_DecodeASCII

from schemas.native cimport cp, i64, i128
from schemas.trade_reading cimport Body, Rules
from schemas.trade_values cimport read_value
from schemas.writing cimport put, put_digit, put_digits, put_signed

from market.errors import DataValidationError
from market.instrument import check_instrument
from market.quality import EARLIEST, LATEST
from schemas.topics import TRADES
from sinks.store import Entry, KafkaRecord
from sinks.stores._postgres_copy import Row

cdef enum:
    ROOM = 768  # for a line: an instrument of 97 bytes, three ids of 63, two figures of 38 digits, three times, seven numbers
    MOST_INSTRUMENTS = 4096
    SECOND = 1_000_000  # microseconds

cdef i64 DAY = 86_400_000_000
cdef object new = tuple.__new__
cdef object TOPIC = TRADES.name, TABLE = "trades"


cdef class TradeReader:
    """Reads the trades whose values begin with this header; `max_skew` as `sinks.translation` has it."""

    cdef bytes _header
    cdef Rules _rules
    cdef dict _instruments

    def __init__(self, bytes header, i64 max_skew):
        self._header = header
        self._rules = Rules(EARLIEST, LATEST, max_skew)
        self._instruments = {}

    def __call__(self, source):
        """The entry of a record, None for one that must be read as all others are."""
        cdef Body body
        if type(source) is not KafkaRecord or source.topic != TOPIC:
            return None
        key, value = source.key, source.value
        if (
            not read_value(key, value, self._header, &self._rules, source.timestamp_ms, &body)
            or not (is_plain(body.trade_id, body.id_length) and is_plain(body.first_id, body.first_length))
            or not is_plain(body.last_id, body.last_length)
        ):
            return None
        instrument = self._instrument(key)
        return None if instrument is None else entry(source, instrument, &body)

    cdef object _instrument(self, bytes key):
        """The instrument of this key, None where it is none."""
        found = self._instruments.get(key)
        if found is None:
            try:
                found = check_instrument(key.decode("ascii"))
            except (UnicodeDecodeError, DataValidationError):
                return None
            if len(self._instruments) >= MOST_INSTRUMENTS:
                self._instruments.clear()
            self._instruments[key] = found
        return found


cdef object entry(source, str instrument, const Body* body):
    """As `_postgres_rows` makes the row of a trade."""
    cdef char line[ROOM]
    cdef char* p = line
    cdef int months = 0, ignored = 0
    key, partition, offset = source.key, source.partition, source.offset
    put(&p, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
    put_text(&p, body.trade_id, body.id_length)
    put_time(&p, body.event_time, &months)
    put_number(&p, body.sequence)
    put_scaled(&p, body.price)
    put_scaled(&p, body.size)
    put_side(&p, body.side)
    put_optional_time(&p, body.exchange_time)
    put_time(&p, body.received_at, &ignored)
    put_optional_time(&p, body.published_at)
    put(&p, "\t\\N", 3)  # a trade with an origin is read the whole way
    put_text(&p, body.first_id, body.first_length)
    put_text(&p, body.last_id, body.last_length)
    put_number(&p, body.count)
    put_number(&p, partition)
    put_number(&p, offset)
    put(&p, "\n", 1)
    trade_id = PyUnicode_DecodeASCII(<const char*>body.trade_id, body.id_length, NULL)
    text = PyUnicode_DecodeASCII(line, p - line, NULL)
    row = new(Row, (TABLE, (instrument, trade_id, body.event_time), (), months, text))
    return new(Entry, (source, row, body.received_at))


cdef inline bint is_plain(cp p, int length) noexcept:
    """Whether COPY takes a text of ASCII characters as it is."""
    cdef int i
    for i in range(length):
        if p[i] < 32 or p[i] == 92:  # a backslash
            return False
    return True


cdef inline void tab(char** at) noexcept:
    at[0][0] = 9
    at[0] += 1


# a column behind the first


cdef inline void put_text(char** at, cp text, int length) noexcept:
    tab(at)
    put(at, <const char*>text, length)


cdef inline void put_number(char** at, i64 value) noexcept:
    tab(at)
    put_signed(at, value)


cdef inline void put_scaled(char** at, i128 value) noexcept:
    """A figure as the whole number that it is at scale 12, with its exponent."""
    tab(at)
    put_digits(at, value)
    put(at, "e-12", 4)


cdef inline void put_side(char** at, int side) noexcept:
    tab(at)
    if side < 0:
        put(at, "\\N", 2)
    elif side:
        put(at, "sell", 4)
    else:
        put(at, "buy", 3)


cdef inline void put_optional_time(char** at, i64 micros) noexcept:
    cdef int ignored = 0
    if micros:
        put_time(at, micros, &ignored)
    else:
        tab(at)
        put(at, "\\N", 2)


cdef inline void put_time(char** at, i64 micros, int* months) noexcept:
    """An instant since 1970 as PostgreSQL reads it, in UTC; `months` is that of `_postgres_copy.month_of`.

    The date is of Howard Hinnant's `civil_from_days`, http://howardhinnant.github.io/date_algorithms.html: years begin in
    March, so that the day that some have more is their last.
    """
    cdef int days = <int>(micros // DAY) + 719_468
    cdef int era = days // 146_097
    cdef int day_of_era = days - era * 146_097
    cdef int year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    cdef int day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    cdef int from_march = (5 * day_of_year + 2) // 153
    cdef int month = from_march + 3 if from_march < 10 else from_march - 9
    cdef int year = year_of_era + era * 400 + (month <= 2)
    cdef i64 rest = micros % DAY
    cdef int seconds = <int>(rest // SECOND), fraction = <int>(rest % SECOND)
    months[0] = year * 12 + month - 1
    put_two(at, 9, year // 100)
    put_digit(at, year // 10 % 10)
    put_digit(at, year % 10)
    put_two(at, c"-", month)
    put_two(at, c"-", day_of_year - (153 * from_march + 2) // 5 + 1)
    put_two(at, c" ", seconds // 3_600)
    put_two(at, c":", seconds // 60 % 60)
    put_two(at, c":", seconds % 60)
    put_two(at, c".", fraction // 10_000)
    put_digit(at, fraction // 1_000 % 10)
    put_digit(at, fraction // 100 % 10)
    put_digit(at, fraction // 10 % 10)
    put_digit(at, fraction % 10)
    put(at, "+00", 3)


# digits


cdef inline void put_two(char** at, char before, int value) noexcept:
    """Two digits and a character before them."""
    at[0][0] = before
    at[0] += 1
    put_digit(at, value // 10)
    put_digit(at, value % 10)
