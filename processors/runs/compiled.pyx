# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled folder of runs: takes in what `processors.runs.walking` finds simple and what belongs to a run.

What is simple but no part of a run goes to `processors.runs.keeping` where the series is kept. `processors.runs.plain` draws the
same line around a run.

Sums are 128-bit integers and never wrap: a record that would overflow them is handed over.
"""

cimport cython

from processors.runs.entries cimport Entry, touch, untouch
from processors.runs.keeping cimport Keeper, candle_of, forget
from processors.runs.lanes cimport Lane, empty_run
from processors.runs.series cimport MOST_INTERVALS
from processors.runs.sums cimport merge_trade
from processors.runs.walking cimport Walker
from schemas.native cimport AMPLE, i64, i128, u64
from schemas.trade_reading cimport ID_ROOM, Body

from market.candle_series import LARGEST_RUN_AMOUNT, LARGEST_RUN_VOLUME
from market.run import Run
from processors.runs.protocol import LONGEST_POINT_ID, RunCounts

assert ID_ROOM == LONGEST_POINT_ID and LARGEST_RUN_AMOUNT == AMPLE

cdef i128 volume_limit = LARGEST_RUN_VOLUME
cdef object new_tuple = tuple.__new__


@cython.final
cdef class Folder(Walker):
    """See `processors.runs.protocol.SeriesFolder`."""

    cdef Keeper keeper  # None where no series is kept
    cdef i64 trades, applied, unchanged, duplicate, replayed

    def __cinit__(self, contract, other, keeping=None):
        self.entry_size = sizeof(Lane)
        self.keeper = None if keeping is None or len(keeping.intervals) > MOST_INTERVALS else Keeper(keeping)

    def __dealloc__(self):
        cdef u64 i
        for i in range(self.mask + 1 if self.table else 0):
            if self.table[i] != NULL:
                forget(<Lane*>self.table[i])

    def arm(self, instrument, window):
        cdef Lane* lane = <Lane*>self.entry_of(instrument, window is not None)
        if lane == NULL:
            return
        untouch(&self.touched_ones, &lane.entry)
        forget(lane)
        lane.entry.armed = False
        if window is not None:
            applied_offset, last_id, floor_id, begin, end, closes_at, latest = window
            lane.entry.applied_offset, lane.last_id, lane.floor_id = applied_offset, last_id, floor_id
            lane.begin, lane.end, lane.closes_at, lane.latest = begin, end, closes_at, latest
            lane.entry.armed = True
            empty_run(lane)

    def take(self, instrument):
        cdef Lane* lane = <Lane*>self.entry_of(instrument, False)
        if lane == NULL or not lane.entry.armed or lane.entry.applied_offset == lane.armed_offset:
            return None
        untouch(&self.touched_ones, &lane.entry)
        candle = None if lane.run.trade_count == 0 else candle_of(&lane.run)
        run = new_tuple(Run, (candle, lane.source_offset, lane.entry.applied_offset, lane.last_id, lane.latest))
        empty_run(lane)
        return run

    def touched(self):
        cdef list found = []
        cdef Entry* entry = self.touched_ones.oldest
        while entry != NULL:
            if (<Lane*>entry).kept == NULL:
                found.append(self.names[entry.index])
            entry = entry.after
        return found

    def keep(self, series):
        cdef Lane* lane
        if self.keeper is None:
            return False
        lane = <Lane*>self.entry_of(series.instrument, True)
        if not self.keeper.keep(lane, series):
            return False
        lane.entry.armed = True
        untouch(&self.touched_ones, &lane.entry)
        return True

    def release(self, series):
        cdef Lane* lane = <Lane*>self.entry_of(series.instrument, False)
        if lane == NULL or lane.kept == NULL:
            return False
        self.keeper.release(lane, series)
        untouch(&self.touched_ones, &lane.entry)
        lane.entry.armed = False
        return True

    def store(self):
        cdef Entry* entry = self.touched_ones.oldest
        cdef Entry* after
        while entry != NULL:
            after = entry.after
            if (<Lane*>entry).kept != NULL:
                self.keeper.store(<Lane*>entry)
                untouch(&self.touched_ones, entry)
            entry = after

    def take_counts(self):
        counts = RunCounts(self.trades, self.applied, self.unchanged, self.duplicate, self.replayed)
        self.trades = self.applied = self.unchanged = self.duplicate = self.replayed = 0
        if self.keeper is not None:
            self.keeper.add_counts(counts)
        return counts

    # records

    cdef bint take_trade(self, Entry* entry, i64 offset, Body* body) except -1:
        cdef Lane* lane = <Lane*>entry
        if body.number < 0:
            return False
        if offset <= entry.applied_offset:
            self.replayed += 1
        elif (
            body.event_time >= lane.begin
            and body.event_time < lane.end
            and body.event_time < lane.closes_at
            and body.size < volume_limit - lane.run.volume
            and body.amount < AMPLE - lane.run.amount
            and self.run_takes(lane, offset, body)
        ):
            entry.applied_offset = offset
        elif lane.kept == NULL or not self.keeper.trade(lane, offset, body):
            return False
        else:
            self.note(entry)
        self.trades += 1
        return True

    cdef inline bint run_takes(self, Lane* lane, i64 offset, Body* body) noexcept:
        """Take in a trade of the window, the next one or a duplicate; else False, and nothing changed."""
        if lane.floor_id < body.number <= lane.last_id:
            self.duplicate += 1
            return True
        if body.number != lane.last_id + 1 or not merge_trade(&lane.run, body):
            return False
        lane.last_id = body.number
        lane.source_offset = offset
        if body.event_time > lane.latest:
            lane.latest = body.event_time
        self.note(&lane.entry)
        return True

    cdef bint take_mark(self, Entry* entry, i64 offset, i64 time) except -1:
        cdef Lane* lane = <Lane*>entry
        if offset <= entry.applied_offset:
            self.replayed += 1
            return True
        if time >= lane.closes_at:
            if lane.kept == NULL or not self.keeper.mark(lane, offset, time):
                return False
            self.note(entry)
            return True
        if time > lane.latest:
            lane.latest = time
            self.note(entry)
        else:
            self.unchanged += 1
        entry.applied_offset = offset
        return True

    cdef inline void note(self, Entry* entry) noexcept:
        self.applied += 1
        touch(&self.touched_ones, entry)
