# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled folder of price changes: the rules of `market.price_change.PriceChanges` on what `processors.runs.walking` reads.

What it cannot hold in C (a price 10**12 away from the one told last, a state with times before 1970) it hands over, and
`market.price_change` says what becomes of it. Events and states are written just as the codec and `processors.states` write them.
"""

cimport cython

from processors.changes.pricing cimport Price, Threshold, is_later, write_event, write_state
from processors.encoding.writing cimport Output, begin, encoded_number, end, reserve, whole, write_bytes, write_head
from processors.outbox.compiled cimport Outbox
from processors.runs.entries cimport Entry, touch, untouch
from processors.runs.walking cimport Walker
from schemas.native cimport TEN_TO_38, i64, i128
from schemas.trade_reading cimport Body

from market.decimals import ONE
from market.price_change import PriceState
from processors.changes.protocol import ChangeCounts
from processors.encoding.compiled import encode_text
from processors.states.form import VERSION

cdef enum:
    MOST_PENDING = 0x7FFFFFFE  # what the wire's integer holds, and one less: a record adds one

cdef i64 LATE = 1 << 62  # times before it can be subtracted from each other
cdef i128 per_cent = 100 * ONE
cdef i128 most_change = TEN_TO_38 // per_cent  # a change below it is no more than 38 digits of per cent, whatever it is of
cdef int version = VERSION


@cython.final
cdef class Folder(Walker):
    """See `processors.changes.protocol.ChangeFolder`."""

    cdef Outbox outbox
    cdef object table
    cdef object partition_of
    cdef str topic
    cdef bytes header
    cdef bytes source  # topic and partition as Avro has them
    cdef bint is_throttled
    cdef i64 micros, events
    cdef i64 trades, replayed

    def __cinit__(self, contract, other, telling):
        self.entry_size = sizeof(Price)
        self.outbox, self.table, self.partition_of = telling.outbox, telling.table, telling.partition_of
        self.topic = telling.topic
        self.header = b"\0" + telling.schema_id.to_bytes(4, "big")
        topic, partition = telling.source
        self.source = encode_text(topic) + encoded_number(partition)
        self.is_throttled = telling.throttle.enabled
        self.micros, self.events = min(telling.throttle.micros, LATE), min(telling.throttle.events, LATE)

    def keep(self, changes):
        cdef Py_ssize_t known = len(self.names)
        cdef Price* price = <Price*>self.entry_of(changes.instrument, True)
        if len(self.names) > known:
            price.place = self.outbox.place(self.topic, self.partition_of(changes.instrument))
        try:
            if not copy_state(price, changes):
                return False
        except OverflowError:
            return False
        price.entry.armed = True
        if changes.changed:
            touch(&self.touched_ones, &price.entry)
        return True

    def release(self, changes):
        cdef Price* price = <Price*>self.entry_of(changes.instrument, False)
        if price == NULL or not price.entry.armed:
            return False
        changes.state = PriceState(
            price.entry.applied_offset,
            (price.event_time, price.sequence) if price.is_known else None,
            price.price,
            price.exchange_time if price.exchange_time else None,
            price.received_at,
            price.told_price,
            price.told_at,
            price.told_event_time,
            price.pending,
        )
        changes.changed = price.entry.touched
        untouch(&self.touched_ones, &price.entry)
        price.entry.armed = False
        return True

    def store(self):
        cdef Entry* entry = self.touched_ones.oldest
        while entry != NULL:
            self.table.put(self.names[entry.index], state_of(<Price*>entry))
            untouch(&self.touched_ones, entry)
            entry = self.touched_ones.oldest

    def take_counts(self):
        counts = ChangeCounts(self.trades, self.replayed)
        self.trades = self.replayed = 0
        return counts

    # records

    cdef bint take_trade(self, Entry* entry, i64 offset, Body* body) except -1:
        cdef Price* price = <Price*>entry
        if offset <= entry.applied_offset:
            self.replayed += 1
        elif is_later(price, body):
            if price.is_known and not self.moves(price, body.price):
                return False
            price.event_time, price.sequence, price.price = body.event_time, body.sequence, body.price
            price.exchange_time, price.received_at = body.exchange_time, body.received_at
            touch(&self.touched_ones, entry)
            if not price.is_known:
                price.is_known, price.told_price = True, body.price
            elif self.is_due(price, body.received_at - price.told_at):
                self.tell(price, body.received_at, min(body.event_time, body.received_at), offset)
        entry.applied_offset = max(entry.applied_offset, offset)
        self.trades += 1
        return True

    cdef bint take_mark(self, Entry* entry, i64 offset, i64 time) except -1:
        cdef Price* price = <Price*>entry
        if offset <= entry.applied_offset:
            self.replayed += 1
            return True
        if self.is_due(price, time - price.told_event_time):
            self.tell(price, max(time, price.received_at), time, offset)
        entry.applied_offset = offset
        return True

    cdef inline bint moves(self, Price* price, i128 to) noexcept:
        """Count the move to another price; False when it is too far from the one told last, or there are too many."""
        if to == price.price:
            return True
        if not is_near(price, to) or price.pending >= MOST_PENDING:
            return False
        price.pending += 1
        return True

    cdef inline bint is_due(self, const Price* price, i64 passed) noexcept:
        return price.pending != 0 and (not self.is_throttled or passed >= self.micros or price.pending >= self.events)

    cdef int tell(self, Price* price, i64 now, i64 event_time, i64 offset) except -1:
        cdef i128 old_price = price.told_price
        cdef i64 changes = price.pending
        cdef Output out
        price.pending = 0
        touch(&self.touched_ones, &price.entry)
        if old_price == price.price:
            return 0
        price.told_price, price.told_at, price.told_event_time = price.price, now, event_time
        begin(&out)
        try:
            reserve(&out, len(self.header))
            write_bytes(&out, <const char*>self.header, len(self.header))
            write_event(&out, price, old_price, changes, now, self.source, offset, per_cent)
            self.outbox.add(price.place, price.entry.name, price.entry.name_length, out.data, out.size)
        finally:
            end(&out)
        return 0


cdef inline bint is_near(const Price* price, i128 to) noexcept:
    """Whether 128 bits hold what it takes to say by how many per cent a price is away from the one told last."""
    return -most_change < to - price.told_price < most_change


cdef bint copy_state(Price* to, changes) except -1:
    """False when it has what is not held here. Raises OverflowError for a number beyond 128 bits or its field."""
    cdef Price found
    cdef i64 applied_offset, time
    state = changes.state
    applied_offset = state.applied_offset
    found.is_known = state.order is not None
    found.event_time, found.sequence = state.order or (0, 0)
    found.exchange_time, found.received_at = state.exchange_time or 0, state.received_at
    found.told_at, found.told_event_time, found.pending = state.told_at, state.told_event_time, state.pending
    found.price, found.told_price = state.price, state.told_price
    found.threshold = Threshold(limit_of(changes.threshold.absolute), limit_of(changes.threshold.percent))
    for time in (found.received_at, found.told_at, found.told_event_time):
        if not 0 <= time < LATE:
            return False
    if state.exchange_time == 0 or not 0 <= found.pending <= MOST_PENDING:
        return False
    if found.is_known and not (0 < found.price < TEN_TO_38 and 0 < found.told_price < TEN_TO_38 and is_near(&found, found.price)):
        return False
    found.entry, found.place = to.entry, to.place
    found.entry.applied_offset = applied_offset
    to[0] = found
    return True


cdef i128 limit_of(limit) except? -1:
    return -1 if limit is None else max(limit, 0)


cdef bytes state_of(const Price* price):
    cdef Output out
    begin(&out)
    try:
        write_head(&out, version, price.entry.applied_offset)
        write_state(&out, price)
        return whole(&out)
    finally:
        end(&out)
