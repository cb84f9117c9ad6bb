# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Whole candle series in C: candles open, close and are told of without a Python object for any of it.

Kept is a series as long as its records are simple: ids that are numbers, in order, trades that correct no closed candle, sums
below 2**126. All else is for `market.candle_series`, to which a series is released with all that was done to it. States and
closed candles are written just as `processors.states` writes them.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from processors.encoding.writing cimport (
    LONGEST_NUMBER,
    Output,
    begin,
    begin_block,
    encoded_number,
    end,
    end_block,
    reserve,
    whole,
    write_byte,
    write_bytes,
    write_head,
    write_varint,
)
from processors.runs.lanes cimport Lane, empty_run
from schemas.native cimport AMPLE, NEVER, i64
from schemas.trade_reading cimport ID_ROOM, Body
from processors.runs.series cimport (
    MOST_GAPS,
    MOST_INTERVALS,
    Closed,
    Gap,
    OpenCandle,
    Series,
    Stretch,
    drop_open,
    find_open,
    has_gap,
    has_room_for,
    make_room,
    merge_run,
    stretch_of,
)
from processors.runs.sums cimport Point, Sums, merge_sums, set_sums
from processors.runs.telling cimport CLOSE, NEW, UPDATE, Event, write_event, write_key, write_sums

from market.candle import Candle, CandleEventKind, TradePoint
from market.candle_series import OpenCandle as HeldCandle
from market.interval import parse_interval
from processors.encoding.compiled import encode_gaps, encode_ids, encode_text, encode_times
from processors.states.form import VERSION

cdef enum:
    MOST_OPEN = 64  # when a series is taken over; those that open later are as many as the grace lets be open

cdef object new_tuple = tuple.__new__
cdef tuple kinds = (CandleEventKind.NEW, CandleEventKind.UPDATE, CandleEventKind.CLOSE)


cdef class Kept:
    """A series, and what stands in its stored state that simple records do not change."""

    def __dealloc__(self):
        free(self.series.open)


cdef class Keeper:
    """Keeps the series of a folder's lanes."""

    def __init__(self, keeping):
        topic, partition = keeping.source
        self.closed_table, self.open_table = keeping.closed_table, keeping.open_table
        self.outbox = keeping.outbox
        self.keeping = keeping
        self.names, self.texts, self.spelled, self.numbers = [], [], [], {}
        self.intervals.grace, self.intervals.horizon = keeping.grace, keeping.horizon
        for interval in keeping.intervals:
            if self.number(interval.name) < 0:
                raise ValueError(f"more than {MOST_INTERVALS} intervals")
        self.intervals.configured = self.intervals.count
        self.configured = list(self.names)
        self.header = b"\0" + keeping.schema_id.to_bytes(4, "big")
        self.source = encode_text(topic) + encoded_number(partition)
        self.topic = keeping.topic

    cdef int number(self, str name) except -2:
        """The number of an interval; -1 when there is no place for another one."""
        cdef int found = self.numbers.get(name, -1)
        if found < 0 and self.intervals.count < MOST_INTERVALS:
            found = self.intervals.count
            self.intervals.length[found] = parse_interval(name).micros
            self.intervals.count += 1
            self.names.append(name)
            self.texts.append(name.encode())
            self.spelled.append(encode_text(name))
            self.numbers[name] = found
        return found

    # to and from Python

    cdef bint keep(self, Lane* lane, series) except -1:
        """Take over a series. False, and nothing done, when it is not simple."""
        cdef Kept kept
        state = series.state  # with ids that are no numbers it would be released again soon
        if state.seen.hashes or len(state.open) > MOST_OPEN or list(state.observed_from) != self.configured:
            return False
        kept = Kept.__new__(Kept)
        if not self.copy_state(&kept.series, series):
            return False
        kept.instrument = series.instrument
        kept.place = self.outbox.place(self.topic, self.keeping.partition_of(series.instrument))
        kept.observed_from, kept.gaps = encode_times(state.observed_from), encode_gaps(state.gaps)
        kept.ids = encode_ids(state.seen)
        kept_by_lane(lane, kept)
        lane.entry.applied_offset, lane.latest = state.applied_offset, state.latest
        lane.last_id, lane.floor_id = state.seen.last, state.seen.without_holes_above
        empty_run(lane)
        self.set_stretch(lane, &kept.series)
        return True

    cdef bint copy_state(self, Series* to, series) except -1:
        cdef OpenCandle* held
        cdef int number
        state = series.state
        to.latest_trade = state.latest_trade
        for name, time in state.observed_from.items():
            to.observed_from[self.number(name)] = time
        for number in range(MOST_INTERVALS):
            to.closed[number].is_empty = True
        for name, (oldest, newest) in state.closed.items():
            number = self.number(name)
            if number < 0:
                return False
            to.closed[number] = Closed(False, oldest, newest)
        if not self.copy_gaps(to, series):
            return False
        if not make_room(to, max(len(state.open), 2 * self.intervals.configured)):
            raise MemoryError
        for key, value in state.open.items():
            name, open_time = key
            number = self.number(name)
            held = &to.open[to.count]
            held.interval, held.open_time, held.source_offset = number, open_time, value.source_offset
            if number < 0 or not copy_candle(&held.sums, value.candle):
                return False
            held.dirty, held.gap = False, has_gap(to, open_time, open_time + self.intervals.length[number])
            to.count += 1
        return True

    cdef bint copy_gaps(self, Series* to, series) except -1:
        gaps = series.state.gaps
        if len(gaps.known) > MOST_GAPS:
            return False
        to.gaps_floor = gaps.floor
        to.gap_forgotten_at = NEVER
        for begin, end, healed in gaps.known:
            to.gaps[to.gap_count] = Gap(begin, end, healed)
            to.gap_count += 1
            to.gap_forgotten_at = min(to.gap_forgotten_at, end + series.longest + self.intervals.horizon)
        return True

    cdef int release(self, Lane* lane, series) except -1:
        """Give a series back with all that was done to it."""
        cdef Kept kept = <Kept>lane.kept
        cdef OpenCandle* held
        cdef int i
        self.settle(lane, &kept.series)
        state = series.state
        state.applied_offset, state.latest, state.seen.last = lane.entry.applied_offset, lane.latest, lane.last_id
        state.latest_trade = kept.series.latest_trade
        opened, dirty, closed = {}, set(), {}
        for i in range(kept.series.count):
            held = &kept.series.open[i]
            key = self.names[held.interval], held.open_time
            opened[key] = new_tuple(HeldCandle, (candle_of(&held.sums), held.source_offset))
            if held.dirty:
                dirty.add(key)
        for i in range(self.intervals.count):
            if not kept.series.closed[i].is_empty:
                closed[self.names[i]] = kept.series.closed[i].oldest, kept.series.closed[i].newest
        state.open, state.closed = opened, closed
        series.take_back(kept.series.changed, dirty)
        forget(lane)
        return 0

    cdef int add_counts(self, counts) except -1:
        """What was told since the last time."""
        cdef int i, kind
        for i in range(self.intervals.count):
            for kind in range(3):
                if self.told[i][kind]:
                    counts.told[self.names[i], kinds[kind]] = self.told[i][kind]
        counts.received_at = self.received_at
        memset(self.told, 0, sizeof(self.told))
        self.received_at = 0
        return 0

    # records that do more than merge into the newest candles

    cdef bint trade(self, Lane* lane, i64 offset, Body* body) except -1:
        """Take in a trade outside of the window: True, or False and nothing done."""
        cdef Kept kept = <Kept>lane.kept
        cdef Series* series = &kept.series
        cdef OpenCandle* held
        cdef int i
        if body.number != lane.last_id + 1 or body.size >= AMPLE or body.amount >= AMPLE:
            return False
        self.settle(lane, series)
        if not self.can_take(lane, series, body) or not self.can_advance(lane, kept, body.event_time):
            return False
        if not make_room(series, series.count + self.intervals.configured):
            raise MemoryError
        lane.last_id = body.number
        for i in range(self.intervals.configured):
            held = find_open(series, i, self.open_time(i, body.event_time))
            if held == NULL:
                self.open_candle(lane, kept, i, offset, body)
            else:
                add_trade(held, offset, body)
        series.latest_trade = max(series.latest_trade, body.event_time)
        series.changed = True
        self.advance(lane, kept, body.event_time, offset)
        return True

    cdef bint mark(self, Lane* lane, i64 offset, i64 time) except -1:
        """Take in a time mark that closes candles: True, or False and nothing done."""
        cdef Kept kept = <Kept>lane.kept
        cdef Series* series = &kept.series
        if time <= lane.latest:
            return False
        self.settle(lane, series)
        if not self.can_advance(lane, kept, time):
            return False
        series.changed = True
        self.advance(lane, kept, time, offset)
        return True

    cdef bint can_take(self, Lane* lane, Series* series, Body* body) noexcept:
        """Whether the trade stands in no closed candle, and the open ones have room for it."""
        cdef OpenCandle* held
        cdef i64 open_time
        cdef int i
        for i in range(self.intervals.configured):
            open_time = self.open_time(i, body.event_time)
            if open_time + self.intervals.length[i] <= lane.latest - self.intervals.grace:
                return False
            held = find_open(series, i, open_time)
            if held != NULL and not has_room_for(held, body):
                return False
        return True

    cdef bint can_advance(self, Lane* lane, Kept kept, i64 time) except -1:
        """Whether no gap is to be forgotten, and no candle to be closed was so before, by a run whose state was lost."""
        cdef OpenCandle* held
        cdef int i
        if time - self.intervals.grace >= kept.series.gap_forgotten_at:
            return False
        for i in range(kept.series.count):
            held = &kept.series.open[i]
            if self.is_past(held, max(time, lane.latest)) and self.closed_table.get(self.key(kept, held)) is not None:
                return False
        return True

    cdef int open_candle(self, Lane* lane, Kept kept, int interval, i64 offset, Body* body) except -1:
        cdef OpenCandle* held = &kept.series.open[kept.series.count]
        held.interval, held.open_time = interval, self.open_time(interval, body.event_time)
        held.source_offset, held.dirty = offset, False
        held.gap = has_gap(&kept.series, held.open_time, held.open_time + self.intervals.length[interval])
        set_sums(&held.sums, body)
        kept.series.count += 1
        self.tell(lane, kept, held, NEW, offset, False)
        return 0

    cdef int advance(self, Lane* lane, Kept kept, i64 time, i64 offset) except -1:
        """Move the event time, close what it passes, oldest first, and go on from there."""
        cdef Series* series = &kept.series
        cdef int i, next_one
        cdef bint has_closed = False
        if time > lane.latest:
            lane.latest = time
            while True:
                next_one = -1
                for i in range(series.count):
                    if self.is_past(&series.open[i], time) and (
                        next_one < 0 or series.open[i].open_time < series.open[next_one].open_time
                    ):
                        next_one = i
                if next_one < 0:
                    break
                self.close_candle(lane, kept, &series.open[next_one], offset)
                drop_open(series, next_one)
                has_closed = True
        if has_closed:
            self.forget_beyond_the_horizon(lane, kept)
        lane.entry.applied_offset = offset
        empty_run(lane)
        self.set_stretch(lane, series)
        return 0

    cdef int close_candle(self, Lane* lane, Kept kept, OpenCandle* held, i64 offset) except -1:
        cdef bint is_observed = held.interval < self.intervals.configured and (
            kept.series.observed_from[held.interval] < held.open_time
        )
        cdef bint is_complete = is_observed and not held.gap
        cdef Closed* closed = &kept.series.closed[held.interval]
        cdef Output out
        begin(&out)
        try:
            write_head(&out, version, offset)
            write_sums(&out, &held.sums)
            reserve(&out, LONGEST_NUMBER)
            write_varint(&out, 1)  # revision
            write_byte(&out, is_complete)
            write_byte(&out, held.gap)
            self.closed_table.put(self.key(kept, held), whole(&out))
        finally:
            end(&out)
        if closed.is_empty:
            closed.is_empty, closed.oldest, closed.newest = False, held.open_time, held.open_time
        closed.oldest = min(closed.oldest, held.open_time)
        closed.newest = max(closed.newest, held.open_time)
        self.tell(lane, kept, held, CLOSE, offset, is_complete)
        return 0

    cdef int forget_beyond_the_horizon(self, Lane* lane, Kept kept) except -1:
        """Drop closed candles that no trade can touch any more."""
        cdef i64 limit = lane.latest - self.intervals.grace - self.intervals.horizon
        cdef Closed* closed
        cdef int i
        for i in range(self.intervals.count):
            closed = &kept.series.closed[i]
            while not closed.is_empty and closed.oldest + self.intervals.length[i] <= limit:
                key = f"{kept.instrument}|{self.names[i]}|{closed.oldest}"
                if self.closed_table.get(key) is not None:
                    self.closed_table.put(key, None)
                closed.oldest += self.intervals.length[i]
                closed.is_empty = closed.oldest > closed.newest
        return 0

    cdef inline i64 open_time(self, int interval, i64 time) noexcept:
        """As `market.interval.Interval.open_time` has it, for times above zero."""
        return time - time % self.intervals.length[interval]

    cdef inline bint is_past(self, const OpenCandle* held, i64 latest) noexcept:
        return held.open_time + self.intervals.length[held.interval] <= latest - self.intervals.grace

    cdef inline str key(self, Kept kept, const OpenCandle* held):
        return f"{kept.instrument}|{self.names[held.interval]}|{held.open_time}"

    # what comes of it

    cdef int settle(self, Lane* lane, Series* series) except -1:
        """Bring the series up to the lane's last record."""
        if lane.run.trade_count:
            merge_run(series, &lane.run, lane.source_offset, &self.intervals)
        series.changed = series.changed or lane.entry.touched
        empty_run(lane)
        self.set_stretch(lane, series)
        return 0

    cdef inline void set_stretch(self, Lane* lane, Series* series) noexcept:
        cdef Stretch found = stretch_of(series, &self.intervals)
        lane.begin, lane.end, lane.closes_at = found.begin, found.end, found.closes_at

    cdef int store(self, Lane* lane) except -1:
        """Tell of the candles that changed, oldest first, and put the state into its table."""
        cdef Kept kept = <Kept>lane.kept
        cdef Series* series = &kept.series
        cdef OpenCandle* held
        cdef int i, next_one
        self.settle(lane, series)
        while True:
            next_one = -1
            for i in range(series.count):
                held = &series.open[i]
                if held.dirty and (next_one < 0 or held.open_time < series.open[next_one].open_time):
                    next_one = i
            if next_one < 0:
                break
            held = &series.open[next_one]
            held.dirty = False
            self.tell(lane, kept, held, UPDATE, held.source_offset, False)
        if series.changed:
            series.changed = False
            self.open_table.put(kept.instrument, self.state_of(lane, kept))
        return 0

    cdef int tell(self, Lane* lane, Kept kept, OpenCandle* held, int kind, i64 offset, bint is_complete) except -1:
        cdef Output out
        cdef Py_ssize_t key_size
        cdef Event event = Event(kind, held.open_time + self.intervals.length[held.interval], offset, is_complete, held.gap)
        begin(&out)
        try:
            write_key(&out, held, lane.entry.name, lane.entry.name_length, self.texts[held.interval])
            key_size = out.size
            put(&out, self.header)
            write_event(&out, &event, held, lane.entry.spelled, lane.entry.spelled_size, self.spelled[held.interval], self.source)
            self.outbox.add(kept.place, out.data, key_size, out.data + key_size, out.size - key_size)
        finally:
            end(&out)
        self.told[held.interval][kind] += 1
        self.received_at = max(self.received_at, held.sums.received_at)
        return 0

    cdef bytes state_of(self, Lane* lane, Kept kept):
        cdef Series* series = &kept.series
        cdef OpenCandle* held
        cdef Output out
        cdef int i
        begin(&out)
        try:
            write_head(&out, version, lane.entry.applied_offset)
            reserve(&out, 2 * LONGEST_NUMBER)
            write_varint(&out, lane.latest)
            write_varint(&out, series.latest_trade)
            put(&out, kept.observed_from)
            reserve(&out, LONGEST_NUMBER)
            write_varint(&out, lane.last_id)
            put(&out, kept.ids)
            begin_block(&out, series.count)
            for i in range(series.count):
                held = &series.open[i]
                put(&out, self.spelled[held.interval])
                reserve(&out, 2 * LONGEST_NUMBER)
                write_varint(&out, held.open_time)
                write_varint(&out, held.source_offset)
                write_sums(&out, &held.sums)
            end_block(&out)
            self.put_closed(&out, series)
            put(&out, kept.gaps)
            return whole(&out)
        finally:
            end(&out)

    cdef int put_closed(self, Output* out, Series* series) except -1:
        cdef int i, count = 0
        for i in range(self.intervals.count):
            count += not series.closed[i].is_empty
        begin_block(out, count)
        for i in range(self.intervals.count):
            if not series.closed[i].is_empty:
                put(out, self.spelled[i])
                reserve(out, 2 * LONGEST_NUMBER)
                write_varint(out, series.closed[i].oldest)
                write_varint(out, series.closed[i].newest)
        return end_block(out)


# lanes


cdef inline void kept_by_lane(Lane* lane, Kept kept):
    forget(lane)
    Py_INCREF(kept)
    lane.kept = <void*>kept


cdef void forget(Lane* lane):
    """Let the series of a lane go."""
    if lane.kept != NULL:
        Py_DECREF(<object>lane.kept)
        lane.kept = NULL


# candles


cdef inline void add_trade(OpenCandle* held, i64 offset, Body* body) noexcept:
    cdef Sums one
    set_sums(&one, body)
    merge_sums(&held.sums, &one)
    held.source_offset, held.dirty = offset, True


cdef bint copy_candle(Sums* to, candle) except -1:
    """False when it has what C does not hold: an id that is long or not ASCII, sums from 2**126 on."""
    first, last, high, low, volume, amount, taker_buy, trade_count, received_at = candle
    if volume >= AMPLE or amount >= AMPLE or trade_count >= 1 << 62:
        return False
    to.high, to.low, to.volume, to.amount = high, low, volume, amount
    to.sides_known = taker_buy is not None
    to.taker_buy = taker_buy if to.sides_known else 0
    to.trade_count, to.received_at = trade_count, received_at
    return copy_point(&to.first, first) and copy_point(&to.last, last)


cdef bint copy_point(Point* to, point) except -1:
    event_time, sequence, price, trade_id = point
    cdef bytes text = trade_id.encode()
    if len(text) > ID_ROOM or not trade_id.isascii():
        return False
    to.time, to.sequence, to.price, to.id_length = event_time, sequence, price, <int>len(text)
    memcpy(to.id, PyBytes_AS_STRING(text), len(text))
    return True


cdef object candle_of(Sums* sums):
    return new_tuple(
        Candle,
        (
            point_of(&sums.first),
            point_of(&sums.last),
            sums.high,
            sums.low,
            sums.volume,
            sums.amount,
            sums.taker_buy if sums.sides_known else None,
            sums.trade_count,
            sums.received_at,
        ),
    )


cdef object point_of(Point* point):
    trade_id = PyUnicode_DecodeASCII(<const char*>point.id, point.id_length, NULL)
    return new_tuple(TradePoint, (point.time, point.sequence, point.price, trade_id))


# bytes


cdef inline int put(Output* out, bytes written) except -1:
    reserve(out, len(written))
    write_bytes(out, PyBytes_AS_STRING(written), len(written))
    return 0


cdef int version = VERSION
