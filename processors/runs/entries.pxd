# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""An instrument as every folder knows it: its name, how far it was read, and its place among those touched since a commit."""

from libc.string cimport memcpy

from schemas.native cimport cp, i64, u64, word_at
from schemas.reading cimport is_same

cdef enum:
    LONGEST_NAME = 97  # of an instrument, as market.instrument has it


cdef struct Entry:  # the beginning of what a folder holds of an instrument
    u64 hash
    int name_length
    int index  # in the folder's names
    bint armed  # without it all records are handed over
    bint touched
    i64 applied_offset
    Entry* before  # in the order first touched
    Entry* after
    int spelled_size
    unsigned char spelled[2 + LONGEST_NAME]  # the name as Avro writes it: behind its length
    unsigned char* name


cdef struct Touched:
    Entry* oldest
    Entry* newest


cdef inline void spell(Entry* entry, cp name, int length) noexcept nogil:
    cdef int size = 1
    entry.spelled[0] = <unsigned char>(2 * length)
    if length >= 64:
        size = 2
        entry.spelled[0] = <unsigned char>(2 * length & 127 | 128)
        entry.spelled[1] = <unsigned char>(length >> 6)
    entry.name = entry.spelled + size
    entry.name_length, entry.spelled_size = length, size + length
    memcpy(entry.name, name, length)


cdef inline void touch(Touched* row, Entry* entry) noexcept nogil:
    if entry.touched:
        return
    entry.touched = True
    entry.before, entry.after = row.newest, NULL
    if row.newest == NULL:
        row.oldest = entry
    else:
        row.newest.after = entry
    row.newest = entry


cdef inline void untouch(Touched* row, Entry* entry) noexcept nogil:
    if not entry.touched:
        return
    entry.touched = False
    if entry.before == NULL:
        row.oldest = entry.after
    else:
        entry.before.after = entry.after
    if entry.after == NULL:
        row.newest = entry.before
    else:
        entry.after.before = entry.before


cdef inline Entry* find(Entry** table, u64 mask, cp name, i64 length) noexcept nogil:
    """The entry of a name in a table of open addressing, NULL when there is none."""
    cdef u64 hashed, place
    cdef Entry* entry
    if length < 1 or length > LONGEST_NAME:
        return NULL
    hashed = hash_of(name, length)
    place = hashed & mask
    while True:
        entry = table[place]
        if entry == NULL or (entry.hash == hashed and entry.name_length == length and is_same(entry.name, name, length)):
            return entry
        place = (place + 1) & mask


cdef inline void insert(Entry** table, u64 mask, Entry* entry) noexcept nogil:
    cdef u64 place = entry.hash & mask
    while table[place] != NULL:
        place = (place + 1) & mask
    table[place] = entry


cdef inline u64 hash_of(cp p, i64 length) noexcept nogil:
    cdef u64 value = <u64>length * 0x9E3779B97F4A7C15u
    cdef cp last = p + length - 8
    if length < 8:
        while length > 0:
            length -= 1
            value = (value ^ p[length]) * 0xD6E8FEB86659FD93u
    else:
        while p < last:
            value = mixed(value, word_at(p))
            p += 8
        value = mixed(value, word_at(last))
    return value ^ value >> 32


cdef inline u64 mixed(u64 value, u64 word) noexcept nogil:
    value = (value ^ word) * 0xD6E8FEB86659FD93u
    return value ^ value >> 32
