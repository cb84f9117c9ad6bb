# cython: language_level=3
"""C types and constants of the compiled modules."""

ctypedef long long i64
ctypedef unsigned long long u64
ctypedef const unsigned char* cp

cdef extern from *:
    """
    #include <string.h>
    typedef __int128 tapeline_i128;
    #define TAPELINE_LARGEST ((tapeline_i128)(~(unsigned __int128)0 >> 1))
    #define TAPELINE_AMPLE ((tapeline_i128)1 << 126)
    #define TAPELINE_TEN_TO_38 ((tapeline_i128)10000000000000000000ULL * (tapeline_i128)10000000000000000000ULL)

    static inline unsigned long long tapeline_word(const unsigned char *p)
    {
        unsigned long long word;
        memcpy(&word, p, 8);
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        return word;
    }

    static inline void tapeline_put_word(unsigned char *p, unsigned long long word)
    {
    #if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        memcpy(p, &word, 8);
    }
    """
    u64 word_at "tapeline_word"(cp) noexcept nogil  # eight bytes, the lowest first
    void put_word "tapeline_put_word"(unsigned char*, u64) noexcept nogil  # eight bytes, the highest first
    u64 reversed "__builtin_bswap64"(u64) noexcept nogil
    int leading_zeros "__builtin_clzll"(u64) noexcept nogil  # of a number above zero
    ctypedef long long i128 "tapeline_i128"
    i64 NEVER "0x7FFFFFFFFFFFFFFFLL"  # a time that no record reaches
    i128 LARGEST "TAPELINE_LARGEST"  # of 128 bits with a sign
    i128 AMPLE "TAPELINE_AMPLE"  # half of that: two numbers below it can be added
    i128 TEN_TO_38 "TAPELINE_TEN_TO_38"
