/* Bytes through a table of 256 bytes. */

#include "planes.h"

#if defined(__AVX512VBMI__)

static size_t wide(const uint8_t *table, const uint8_t *from, size_t count, uint8_t *to) {
    __m512i a = _mm512_loadu_si512(table), b = _mm512_loadu_si512(table + 64);
    __m512i c = _mm512_loadu_si512(table + 128), d = _mm512_loadu_si512(table + 192);
    for (size_t i = 0; i < count; i += 64) {
        __mmask64 some = count - i < 64 ? ((__mmask64)1 << (count - i)) - 1 : ~(__mmask64)0;
        __m512i at = _mm512_maskz_loadu_epi8(some, from + i);
        __m512i low = _mm512_permutex2var_epi8(a, at, b), high = _mm512_permutex2var_epi8(c, at, d);
        _mm512_mask_storeu_epi8(to + i, some, _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, high));
    }
    return count;
}

#elif defined(__AVX2__)

/* The four low bits choose an entry of each of 16 rows, and the four high bits one of the rows. */
static size_t wide(const uint8_t *table, const uint8_t *from, size_t count, uint8_t *to) {
    __m256i rows[16];
    for (int row = 0; row < 16; row++)
        rows[row] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * row)));
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i at = _mm256_loadu_si256((const __m256i *)(from + i));
        __m256i entry = _mm256_and_si256(at, _mm256_set1_epi8(15)), found[8];
        /* a blend takes the second where the highest bit of a byte is set, so each bit is shifted there */
        __m256i bit4 = _mm256_slli_epi16(at, 3), bit5 = _mm256_slli_epi16(at, 2), bit6 = _mm256_slli_epi16(at, 1);
        for (int pair = 0; pair < 8; pair++)
            found[pair] = _mm256_blendv_epi8(_mm256_shuffle_epi8(rows[2 * pair], entry),
                                             _mm256_shuffle_epi8(rows[2 * pair + 1], entry), bit4);
        for (int pair = 0; pair < 4; pair++)
            found[pair] = _mm256_blendv_epi8(found[2 * pair], found[2 * pair + 1], bit5);
        __m256i low = _mm256_blendv_epi8(found[0], found[1], bit6), high = _mm256_blendv_epi8(found[2], found[3], bit6);
        _mm256_storeu_si256((__m256i *)(to + i), _mm256_blendv_epi8(low, high, at));
    }
    return i;
}

#else

static size_t wide(const uint8_t *table, const uint8_t *from, size_t count, uint8_t *to) {
    (void)table, (void)from, (void)count, (void)to;
    return 0;
}

#endif

void NAME(look_up)(const uint8_t *table, const uint8_t *from, size_t count, uint8_t *to) {
    for (size_t i = wide(table, from, count, to); i < count; i++) to[i] = table[from[i]];
}
