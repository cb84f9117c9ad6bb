# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Totals straight to Avro: from the sums of a portfolio's groups to the bytes of its `Valuation`, without a Python number.

The formulae are those of `market.portfolio_totals`, the layout is that of `valuation.avsc`. What does not fit 128 bits, and
whatever has positions without a value or balances without a rate, is left to the plain way, which gives the same otherwise.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.string cimport memcpy

from processors.encoding.writing cimport (
    LONGEST_NUMBER,
    Output,
    begin,
    end,
    reserve,
    write_byte,
    write_bytes,
    write_decimal,
    write_varint,
)
from processors.holdings.compiled cimport Sums
from processors.valuing.wide cimport Wide, add_product, divide_half_even, sum_of
from schemas.native cimport AMPLE, NEVER, i64, i128, u64

from market.decimals import ONE
from processors.outputs import Message

cdef enum:
    MOST_CURRENCIES = 16
    FIGURES = 10
    NUMBERS = FIGURES + 8  # written of a sheet

cdef i64 DAY = 86_400_000_000
cdef i64 WHOLLY_COVERED = 100 * ONE
cdef u64 COUNT = 0xFFFFFFFF
cdef i128 MOST = AMPLE >> 1  # three of them can be added


@cython.final
cdef class Rated:
    """What amounts of some currencies are in a base currency, as `market.portfolio_totals.Weights` has it.

    By currency, in the order of the sheets that have them; None where there is no rate. `rates` is what is told of them.
    Raises OverflowError for weights beyond 126 bits, ValueError for too many currencies.
    """

    cdef i128 common
    cdef i128 now[MOST_CURRENCIES]
    cdef i128 then[MOST_CURRENCIES]
    cdef bint is_known[MOST_CURRENCIES]
    cdef bint was_known[MOST_CURRENCIES]
    cdef bint is_stale[MOST_CURRENCIES]
    cdef bytes rates

    def __cinit__(self, common, tuple now, tuple then, tuple stale, bytes rates):
        if len(now) > MOST_CURRENCIES:
            raise ValueError("too many currencies")
        self.common = weight(common)
        self.rates = rates
        for slot in range(len(now)):
            self.is_known[slot], self.was_known[slot] = now[slot] is not None, then[slot] is not None
            self.now[slot] = weight(now[slot] or 0)
            self.then[slot] = weight(then[slot] or 0)
            self.is_stale[slot] = stale[slot]


cdef i128 weight(object number) except? -1:
    cdef i128 found = number
    if not 0 <= found < AMPLE:
        raise OverflowError
    return found


cdef i128 amount(object number) except? -1:
    cdef i128 found = number
    if not -MOST < found < MOST:
        raise OverflowError
    return found


cdef struct Group:
    Py_ssize_t number
    i64 lines, held
    i128 cost, came
    int currency
    bint is_cash, is_long


cdef struct Balance:
    i128 cash, realised, income
    int currency
    bint is_any


cdef struct Figures:
    i128 amounts[FIGURES]  # in the order of the record
    i64 lines, stale, oldest
    bint is_day_known


@cython.final
cdef class Sheet:
    """What a portfolio's totals are made of besides prices and rates.

    `groups` are (number, place of the currency, settled in cash, long, lines, held, cost, came), `balances` are (place of the
    currency, whether there is anything, cash, realised profit, income), amounts at scale 24. `names` is what stands before the
    figures, `limits` what stands last; times are microseconds. Days end at `day_ends` of each UTC day unless `day_end_at` says
    when the present one does. Raises OverflowError for amounts beyond 125 bits.
    """

    cdef readonly tuple currencies
    cdef readonly bytes key
    cdef readonly int partition
    cdef public i64 day_end_at
    cdef bytes names, limits
    cdef bint is_day_known
    cdef i64 updated_at, day_ends
    cdef int group_count, balance_count
    cdef Group* groups
    cdef Balance* balances

    def __cinit__(
        self,
        tuple currencies,
        bytes key,
        int partition,
        bytes names,
        bytes limits,
        i64 updated_at,
        i64 day_ends,
        list groups,
        list balances,
        bint is_day_known,
    ):
        cdef int place
        self.currencies, self.key, self.partition, self.names, self.limits = currencies, key, partition, names, limits
        self.updated_at, self.day_ends, self.is_day_known = updated_at, day_ends, is_day_known
        self.group_count, self.balance_count = len(groups), len(balances)
        self.groups = <Group*>PyMem_Calloc(self.group_count + 1, sizeof(Group))
        self.balances = <Balance*>PyMem_Calloc(self.balance_count + 1, sizeof(Balance))
        if not self.groups or not self.balances:
            raise MemoryError
        for place, (number, currency, is_cash, is_long, lines, held, cost, came) in enumerate(groups):
            self.groups[place] = Group(number, lines, held, amount(cost), amount(came), currency, is_cash, is_long)
        for place, (currency, is_any, cash, realised, income) in enumerate(balances):
            self.balances[place] = Balance(amount(cash), amount(realised), amount(income), currency, is_any)

    def __dealloc__(self):
        PyMem_Free(self.groups)
        PyMem_Free(self.balances)


def write(list sheets, Sums values, Sums began, dict rated, dict moments, bytes header, str topic, i64 latest):
    """For each sheet what it says, without when (see `schemas.valuation_encoding`), and its message.

    None for what is left to the plain way. `rated` is by currencies, with None for what is beyond its numbers; `moments` by
    partition; `latest` is when the latest record was received.
    """
    cdef Output out
    cdef Figures figures
    cdef Sheet sheet
    cdef Rated rates
    cdef list found = [None] * len(sheets)
    cdef Py_ssize_t number = -1
    begin(&out)
    try:
        for one in sheets:
            number += 1
            sheet = one
            if sheet is None:
                continue
            rates = rated[sheet.currencies]
            if rates is not None and total(sheet, values, began, rates, &figures):
                out.size = 0
                content = record(&out, sheet, &figures, rates, <bytes>moments[sheet.partition], header, latest)
                value = PyBytes_FromStringAndSize(<const char*>out.data, out.size)
                found[number] = content, Message(topic, sheet.partition, sheet.key, value)
    finally:
        end(&out)
    return found


cdef bint total(Sheet sheet, Sums values, Sums sums, Rated rated, Figures* found) noexcept nogil:
    """The figures of a sheet; False where they are left to the plain way."""
    cdef Wide net = Wide(0, 0), gross = net, profit = net, worth = net, effect = net, fx = net
    cdef Wide cash = net, realised = net, income = net
    cdef int place, currency
    cdef Group* group
    cdef Balance* balance
    cdef i128 value, began, gain, now, then
    cdef i64 counts
    cdef bint is_began
    found.lines = found.stale = 0
    found.oldest = NEVER
    found.is_day_known = sheet.is_day_known
    for place in range(sheet.group_count):
        group = &sheet.groups[place]
        currency = group.currency
        if group.number >= values.high.shape[0] or group.number >= sums.high.shape[0]:
            return False  # never weighed
        if values.unfit[group.number] or sums.unfit[group.number] or not rated.is_known[currency]:
            return False
        counts = values.counts[group.number]
        value = <i128>values.high[group.number] << 64 | values.low[group.number]
        began = <i128>sums.high[group.number] << 64 | sums.low[group.number]
        if <i64>(counts & COUNT) < group.lines or not (-MOST < value < MOST and -MOST < began < MOST):
            return False
        is_began = <i64>(sums.counts[group.number] & COUNT) == group.held
        if not (group.lines or (is_began and began) or group.came):
            continue
        now, then, gain = rated.now[currency], rated.then[currency], value - group.cost
        add_product(&net, value, now)
        add_product(&gross, value if group.is_long else -value, now)
        add_product(&profit, gain, now)
        add_product(&worth, value if group.is_cash else gain, now)
        found.lines += group.lines
        found.stale += group.lines if rated.is_stale[currency] else counts >> 32
        found.oldest = min(found.oldest, values.times[group.number])
        if not is_began or (group.is_cash and began and not rated.was_known[currency]):
            found.is_day_known = False
            continue
        add_product(&effect, value - began - group.came, now)
        if group.is_cash:
            add_product(&fx, began if now >= then else -began, now - then if now >= then else then - now)
    for place in range(sheet.balance_count):
        balance = &sheet.balances[place]
        if not balance.is_any:
            continue
        if not rated.is_known[balance.currency]:
            return False
        now = rated.now[balance.currency]
        add_product(&cash, balance.cash, now)
        add_product(&realised, balance.realised, now)
        add_product(&income, balance.income, now)
    return (
        divide_half_even(net, rated.common, &found.amounts[0])
        and divide_half_even(gross, rated.common, &found.amounts[1])
        and divide_half_even(profit, rated.common, &found.amounts[2])
        and divide_half_even(realised, rated.common, &found.amounts[3])
        and divide_half_even(income, rated.common, &found.amounts[4])
        and divide_half_even(cash, rated.common, &found.amounts[5])
        and divide_half_even(sum_of(cash, worth), rated.common, &found.amounts[6])
        and (
            not found.is_day_known
            or (
                divide_half_even(sum_of(effect, fx), rated.common, &found.amounts[7])
                and divide_half_even(effect, rated.common, &found.amounts[8])
                and divide_half_even(fx, rated.common, &found.amounts[9])
            )
        )
    )


cdef bytes record(Output* out, Sheet sheet, Figures* figures, Rated rated, bytes moment, bytes header, i64 latest):
    """Write a framed record; what it says without when."""
    cdef int place
    cdef i64 as_of = max(latest, sheet.updated_at), into_day = (as_of - sheet.day_ends) % DAY
    cdef Py_ssize_t head = PyBytes_GET_SIZE(header), told, rest
    reserve(
        out,
        head
        + PyBytes_GET_SIZE(sheet.names)
        + PyBytes_GET_SIZE(rated.rates)
        + PyBytes_GET_SIZE(moment)
        + PyBytes_GET_SIZE(sheet.limits)
        + NUMBERS * LONGEST_NUMBER,
    )
    put(out, header)
    put(out, sheet.names)
    for place in range(FIGURES):
        if place >= FIGURES - 3 and not figures.is_day_known:
            write_byte(out, 0)
        else:
            write_byte(out, 2)
            write_decimal(out, figures.amounts[place])
    write_varint(out, figures.lines)
    write_varint(out, figures.lines)  # all of them are valued
    write_varint(out, figures.stale)
    write_decimal(out, WHOLLY_COVERED)
    if figures.oldest == NEVER:
        write_byte(out, 0)
    else:
        write_byte(out, 2)
        write_varint(out, figures.oldest)
    write_byte(out, 0)  # no position is left out
    write_byte(out, 0)  # and no currency without a rate
    put(out, rated.rates)
    told = out.size
    put(out, moment)
    write_byte(out, 2)
    write_varint(out, as_of)
    rest = out.size
    write_byte(out, 2)
    write_varint(out, sheet.day_end_at or as_of - (into_day if into_day >= 0 else into_day + DAY) + DAY)
    put(out, sheet.limits)
    content = PyBytes_FromStringAndSize(NULL, told - head + out.size - rest)
    memcpy(PyBytes_AS_STRING(content), out.data + head, told - head)
    memcpy(PyBytes_AS_STRING(content) + told - head, out.data + rest, out.size - rest)
    return content


cdef inline void put(Output* out, bytes data) noexcept:
    write_bytes(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
