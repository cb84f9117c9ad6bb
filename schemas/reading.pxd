# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Reading of Avro and of Kafka's records, all of it within bounds.

Each `read_` takes what stands at `at[0]`, moves that behind it, and says whether it could: False is for all that does not end
before `end`, and for whatever is none of what it reads.
"""

from libc.string cimport memcmp

from schemas.native cimport TEN_TO_38, cp, i64, i128, reversed, u64, word_at


cdef inline bint read_varint(cp* at, cp end, i64* out) noexcept nogil:
    """A zigzag varint of at most 64 bits."""
    cdef cp p = at[0]
    cdef u64 value
    cdef unsigned int byte, shift = 7
    if p >= end:
        return False
    byte = p[0]
    p += 1
    value = byte & 127
    while byte > 127:
        if p >= end or shift > 63:
            return False
        byte = p[0]
        p += 1
        value |= <u64>(byte & 127) << shift
        shift += 7
    if shift > 63 and byte > 1:
        return False
    at[0] = p
    out[0] = <i64>(value >> 1) ^ -<i64>(value & 1)
    return True


cdef inline bint read_length(cp* at, cp end, i64* out) noexcept nogil:
    """The length of something that lies in front of `end`."""
    return read_varint(at, end, out) and out[0] >= 0 and out[0] <= end - at[0]


cdef inline bint read_nullable(cp* at, cp end, cp* out, i64* length) noexcept nogil:
    """Bytes with their length before them; a negative length is null."""
    if not read_varint(at, end, length) or length[0] > end - at[0]:
        return False
    out[0] = at[0]
    if length[0] > 0:
        at[0] += length[0]
    return True


cdef inline bint read_size(cp* at, cp end, i64 longest, i64* out) noexcept nogil:
    """The length, in one byte, of something that is not empty and lies in front of `end`."""
    cdef unsigned int byte
    if at[0] >= end:
        return False
    byte = at[0][0]
    at[0] += 1
    out[0] = byte >> 1
    return byte & 1 == 0 and byte != 0 and out[0] <= longest and out[0] <= end - at[0]


cdef inline bint read_figure(cp* at, cp end, i128* out) noexcept nogil:
    """A decimal above zero with at most 38 digits, in at most 16 bytes."""
    cdef i64 length, i
    cdef i128 value = 0
    cdef cp p
    if not read_size(at, end, 16, &length):
        return False
    p = at[0]
    if p[0] & 128:
        return False
    if length <= 8 and end - p >= 8:
        value = reversed(word_at(p)) >> (64 - 8 * length)
    else:
        for i in range(length):
            value = (value << 8) | p[i]
    at[0] = p + length
    out[0] = value
    return value > 0 and value < TEN_TO_38


cdef inline bint read_eight_digits(cp p, i64* out) noexcept nogil:
    """All at once: each step joins neighbours, digits to pairs to fours to eight."""
    cdef u64 digits = word_at(p)
    if digits & 0xF0F0F0F0F0F0F0F0u | (digits + 0x0606060606060606u & 0xF0F0F0F0F0F0F0F0u) >> 4 != 0x3333333333333333u:
        return False
    digits = (digits & 0x0F0F0F0F0F0F0F0Fu) * 0xA01u >> 8
    digits = (digits & 0x00FF00FF00FF00FFu) * 0x640001u >> 16
    out[0] = <i64>((digits & 0x0000FFFF0000FFFFu) * 0x271000000001u >> 32)
    return True


cdef inline bint read_number(cp* at, cp end, i64* out) noexcept nogil:
    """A trade id of 1 to 18 digits."""
    cdef i64 length, i, value = 0
    cdef cp p
    cdef unsigned int digit
    if not read_size(at, end, 18, &length):
        return False
    p = at[0]
    at[0] = p + length
    if length >= 8:
        if not read_eight_digits(p, &value):
            return False
        p += 8
        length -= 8
    for i in range(length):
        digit = <unsigned int>p[i] - 48
        if digit > 9:
            return False
        value = value * 10 + digit
    out[0] = value
    return True


cdef inline bint read_id(cp* at, cp end, cp* out, int* id_length) noexcept nogil:
    """An id of at most 63 ASCII characters, whose length takes one byte."""
    cdef i64 length
    if not read_size(at, end, 63, &length):
        return False
    out[0] = at[0]
    id_length[0] = <int>length
    at[0] += length
    return is_ascii(out[0], length)


cdef inline bint is_ascii(cp p, i64 length) noexcept nogil:
    cdef u64 bits = 0
    cdef cp last
    if length < 8:
        while length > 0:
            length -= 1
            bits |= p[length]
        return bits & 128 == 0
    last = p + length - 8
    while p < last:
        bits |= word_at(p)
        p += 8
    return (bits | word_at(last)) & 0x8080808080808080u == 0


cdef inline bint is_same(cp p, cp q, i64 length) noexcept nogil:
    """As memcmp has it, without the call."""
    cdef i64 i
    if length < 8:
        return memcmp(p, q, length) == 0
    for i in range(0, length - 8, 8):
        if word_at(p + i) != word_at(q + i):
            return False
    return word_at(p + length - 8) == word_at(q + length - 8)


cdef inline bint skip_headers(cp p, cp end) noexcept nogil:
    """Whether the headers of a record fill the rest of it."""
    cdef i64 left, length
    cdef cp ignored
    if not read_varint(&p, end, &left) or left < 0:
        return False
    while left > 0:
        left -= 1
        if not read_length(&p, end, &length):
            return False
        p += length
        if not read_nullable(&p, end, &ignored, &length):
            return False
    return p == end
