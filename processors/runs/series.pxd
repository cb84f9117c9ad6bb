# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`market.candle_series.SeriesState` in C, as far as simple records change it."""

from libc.stdlib cimport realloc

from processors.runs.sums cimport Sums, merge_sums
from schemas.native cimport AMPLE, NEVER, i64
from schemas.trade_reading cimport Body

cdef enum:
    MOST_INTERVALS = 16
    MOST_GAPS = 64


cdef struct Intervals:
    int count
    int configured  # the first ones; others stand in states of an earlier configuration
    i64 length[MOST_INTERVALS]
    i64 grace, horizon


cdef struct OpenCandle:
    int interval
    bint dirty, gap
    i64 open_time, source_offset
    Sums sums


cdef struct Closed:  # open times of the closed candles still held
    bint is_empty
    i64 oldest, newest


cdef struct Gap:
    i64 begin, end
    bint healed


cdef struct Series:
    bint changed
    i64 latest_trade
    i64 observed_from[MOST_INTERVALS]
    Closed closed[MOST_INTERVALS]
    i64 gaps_floor
    i64 gap_forgotten_at  # the watermark that lets the first of the gaps be forgotten
    int gap_count
    Gap gaps[MOST_GAPS]
    int count, room
    OpenCandle* open  # in the order opened


cdef struct Stretch:
    i64 begin, end, closes_at


cdef inline Stretch stretch_of(Series* series, const Intervals* intervals) noexcept nogil:
    """What every configured interval's newest candle holds; empty where one has none, or where sums have grown too large."""
    cdef Stretch found = Stretch(0, NEVER, NEVER)
    cdef i64 newest[MOST_INTERVALS]
    cdef bint is_empty = False
    cdef OpenCandle* held
    cdef int i
    for i in range(intervals.configured):
        newest[i] = -1
    for i in range(series.count):
        held = &series.open[i]
        if held.interval < intervals.configured:
            newest[held.interval] = max(newest[held.interval], held.open_time)
        found.closes_at = min(found.closes_at, held.open_time + intervals.length[held.interval] + intervals.grace)
        is_empty = is_empty or held.sums.volume >= AMPLE or held.sums.amount >= AMPLE
    for i in range(intervals.configured):
        is_empty = is_empty or newest[i] < 0
        found.begin = max(found.begin, newest[i])
        found.end = min(found.end, newest[i] + intervals.length[i])
    if is_empty:
        found.begin = found.end = 0
    return found


cdef inline OpenCandle* find_open(Series* series, int interval, i64 open_time) noexcept nogil:
    cdef int i
    for i in range(series.count):
        if series.open[i].open_time == open_time and series.open[i].interval == interval:
            return &series.open[i]
    return NULL


cdef inline bint has_gap(const Series* series, i64 begin, i64 end) noexcept nogil:
    """As `market.gaps.KnownGaps.touches` has it."""
    cdef int i
    if begin < series.gaps_floor:
        return True
    for i in range(series.gap_count):
        if not series.gaps[i].healed and series.gaps[i].begin < end and series.gaps[i].end > begin:
            return True
    return False


cdef inline bint make_room(Series* series, int count) noexcept nogil:
    """Have a place for so many open candles; False without memory."""
    cdef OpenCandle* found
    if count > series.room:
        found = <OpenCandle*>realloc(series.open, count * sizeof(OpenCandle))
        if found == NULL:
            return False
        series.open, series.room = found, count
    return True


cdef inline bint has_room_for(const OpenCandle* held, const Body* body) noexcept nogil:
    return held.sums.volume < AMPLE - body.size and held.sums.amount < AMPLE - body.amount


cdef inline void merge_run(Series* series, const Sums* run, i64 source_offset, const Intervals* intervals) noexcept nogil:
    """Add a run to the open candles that hold it."""
    cdef OpenCandle* held
    cdef int i
    for i in range(series.count):
        held = &series.open[i]
        if held.interval < intervals.configured and 0 <= run.first.time - held.open_time < intervals.length[held.interval]:
            merge_sums(&held.sums, run)
            held.source_offset = source_offset
            held.dirty = True
    series.latest_trade = max(series.latest_trade, run.last.time)
    series.changed = True


cdef inline void drop_open(Series* series, int place) noexcept nogil:
    cdef int i
    series.count -= 1
    for i in range(place, series.count):
        series.open[i] = series.open[i + 1]
