/* Sums of products of bytes and weights of 23 binary digits, exact modulo 2^32, with the instructions of this set.

   The weights are cut into digits that fit an instruction which multiplies and adds several short integers: AVX-512 has
   one for four products of bytes, AVX2 one for two products of words. The sums of the digits are put together at the
   end. A vector has 32 bits for each value of the result; before, the four bytes of its next four taps are there. */

#ifndef AUGREG_DIGITS_H
#define AUGREG_DIGITS_H

#include "../weights.h"
#include "kernels.h"

enum { SHIFT = AUGREG_WEIGHT_BITS };

#ifdef AUGREG_ISA_avx512

typedef __m512i vector;
enum { LANES = 4, PARTS = 3, SUMS = 3, TOGETHER = 4, NEAR = 1 }; /* LANES of 128 bits; rows that a pass over columns does together */

static inline vector zero(void) { return _mm512_setzero_si512(); }
static inline vector all(int32_t value) { return _mm512_set1_epi32(value); }
static inline vector load(const void *from) { return _mm512_loadu_si512(from); }
static inline void store(void *to, vector values) { _mm512_storeu_si512(to, values); }
#define UNPACK(half, size, a, b) _mm512_unpack##half##_epi##size(a, b)

/* The three signed bytes of each of four weights. */
static inline void cut(const int32_t *weights, int32_t parts[PARTS]) {
    uint8_t *bytes = (uint8_t *)parts;
    for (int k = 0; k < 4; k++) {
        int32_t low = (int8_t)weights[k], rest = (weights[k] - low) >> 8, middle = (int8_t)rest;
        bytes[k + 8] = (uint8_t)low;
        bytes[k + 4] = (uint8_t)middle;
        bytes[k] = (uint8_t)((rest - middle) >> 8);
    }
}

static inline void add(vector sums[SUMS], vector taps, const vector weights[PARTS]) {
    for (int part = 0; part < PARTS; part++) sums[part] = _mm512_dpbusd_epi32(sums[part], taps, weights[part]);
}

static inline vector total(const vector sums[SUMS]) {
    vector high = _mm512_add_epi32(_mm512_slli_epi32(sums[0], 16), _mm512_slli_epi32(sums[1], 8));
    return _mm512_srai_epi32(_mm512_add_epi32(high, sums[2]), SHIFT);
}

/* Four vectors of totals as bytes, lane by lane. */
static inline vector bytes_of(const vector totals[4]) {
    return _mm512_packus_epi16(_mm512_packs_epi32(totals[0], totals[1]), _mm512_packs_epi32(totals[2], totals[3]));
}

/* A vector of totals as bytes, LANES * 4 of them. */
static inline void store_totals(uint8_t *to, vector totals, int channels) {
    __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(totals, zero()));
    if (channels == 3) bytes = _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    _mm_storeu_si128((__m128i *)to, bytes);
}

static inline vector repeated_four(__m128i numbers) {
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                                    _mm512_castsi128_si512(numbers));
}

/* The next four taps of the pixels at these places. */
static inline vector taps_at(const uint8_t *row, const int32_t *at, int channels) {
    if (channels == 1) return _mm512_i32gather_epi32(load(at), row, 1);
    vector found;
    if (channels == 2) {
        found = _mm512_i32gather_epi64(_mm256_loadu_si256((const __m256i *)at), row, 1);
        return _mm512_shuffle_epi8(
            found, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)));
    }
    found = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(row + at[0])));
    found = _mm512_inserti32x4(found, _mm_loadu_si128((const __m128i *)(row + at[1])), 1);
    found = _mm512_inserti32x4(found, _mm_loadu_si128((const __m128i *)(row + at[2])), 2);
    found = _mm512_inserti32x4(found, _mm_loadu_si128((const __m128i *)(row + at[3])), 3);
    __m128i order = channels == 3 ? _mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1)
                                  : _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_shuffle_epi8(found, _mm512_broadcast_i32x4(order));
}

/* Where each byte of a vector of taps is, from the lowest of these places on, which goes to `first`. */
static inline vector places(const int32_t *at, int channels, int32_t *first) {
    if (channels == 1) {
        vector each = load(at);
        *first = _mm512_reduce_min_epi32(each);
        each = _mm512_shuffle_epi8(_mm512_sub_epi32(each, all(*first)),
                                   _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)));
        return _mm512_add_epi8(each, all(0x03020100));
    }
    if (channels == 2) {
        __m256i each = _mm256_loadu_si256((const __m256i *)at);
        *first = at[0] < at[7] ? at[0] : at[7];
        vector wide = _mm512_cvtepi32_epi64(_mm256_sub_epi32(each, _mm256_set1_epi32(*first)));
        wide = _mm512_shuffle_epi8(
            wide, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8)));
        return _mm512_add_epi8(wide, _mm512_set1_epi64(0x0705030106040200));
    }
    *first = at[0] < at[3] ? at[0] : at[3];
    vector each = repeated_four(_mm_sub_epi32(_mm_loadu_si128((const __m128i *)at), _mm_set1_epi32(*first)));
    each = _mm512_shuffle_epi8(each, zero());
    __m128i order = channels == 3 ? _mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, 2, 5, 8, 11)
                                  : _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_add_epi8(each, _mm512_broadcast_i32x4(order));
}

/* Bytes of four rows, by lane, row and value, to their places. */
static inline void store_four(uint8_t *const *to, int32_t at, vector bytes, int channels) {
    const __m512i rows = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    bytes = _mm512_permutexvar_epi32(rows, bytes);
    if (channels == 3)
        bytes = _mm512_shuffle_epi8(
            bytes, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)));
    _mm_storeu_si128((__m128i *)(to[0] + at), _mm512_castsi512_si128(bytes));
    _mm_storeu_si128((__m128i *)(to[1] + at), _mm512_extracti32x4_epi32(bytes, 1));
    _mm_storeu_si128((__m128i *)(to[2] + at), _mm512_extracti32x4_epi32(bytes, 2));
    _mm_storeu_si128((__m128i *)(to[3] + at), _mm512_extracti32x4_epi32(bytes, 3));
}

/* One weight for each pixel, repeated for each value of the pixel. */
static inline vector repeated(const int32_t *weights, int channels) {
    if (channels == 1) return load(weights);
    if (channels == 2)
        return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                                        _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)weights)));
    return repeated_four(_mm_loadu_si128((const __m128i *)weights));
}

#else /* AVX2 */

typedef __m256i vector;
enum { LANES = 2, PARTS = 4, SUMS = 2, TOGETHER = 4, NEAR = 0 };

static inline vector zero(void) { return _mm256_setzero_si256(); }
static inline vector all(int32_t value) { return _mm256_set1_epi32(value); }
static inline vector load(const void *from) { return _mm256_loadu_si256((const __m256i *)from); }
static inline void store(void *to, vector values) { _mm256_storeu_si256((__m256i *)to, values); }
#define UNPACK(half, size, a, b) _mm256_unpack##half##_epi##size(a, b)

/* The upper digits of the weights 0 and 2, of 1 and 3; then the 11 lower binary digits likewise. */
static inline void cut(const int32_t *weights, int32_t parts[PARTS]) {
    for (int odd = 0; odd < 2; odd++) {
        int32_t first = weights[odd], second = weights[odd + 2];
        parts[odd] = (int32_t)((uint32_t)(first >> 11 & 0xffff) | (uint32_t)(second >> 11) << 16);
        parts[odd + 2] = (first & 0x7ff) | (second & 0x7ff) << 16;
    }
}

static inline void add(vector sums[SUMS], vector taps, const vector weights[PARTS]) {
    vector even = _mm256_and_si256(taps, _mm256_set1_epi16(0xff)), odd = _mm256_srli_epi16(taps, 8);
    for (int part = 0; part < SUMS; part++) {
        vector both = _mm256_add_epi32(_mm256_madd_epi16(even, weights[2 * part]), _mm256_madd_epi16(odd, weights[2 * part + 1]));
        sums[part] = _mm256_add_epi32(sums[part], both);
    }
}

static inline vector total(const vector sums[SUMS]) {
    return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(sums[0], 11), sums[1]), SHIFT);
}

static inline vector bytes_of(const vector totals[4]) {
    return _mm256_packus_epi16(_mm256_packs_epi32(totals[0], totals[1]), _mm256_packs_epi32(totals[2], totals[3]));
}

static inline void store_totals(uint8_t *to, vector totals, int channels) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(totals), _mm256_extracti128_si256(totals, 1));
    __m128i bytes = _mm_packus_epi16(words, words);
    if (channels == 3) bytes = _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 1, 2, 4, 5, 6, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    _mm_storel_epi64((__m128i *)to, bytes);
}

static inline void store_four(uint8_t *const *to, int32_t at, vector bytes, int channels) {
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    if (channels == 3)
        bytes = _mm256_shuffle_epi8(
            bytes, _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, -1, -1, 8, 9, 10, 12, 13, 14, -1, -1)));
    __m128i first = _mm256_castsi256_si128(bytes), second = _mm256_extracti128_si256(bytes, 1);
    _mm_storel_epi64((__m128i *)(to[0] + at), first);
    _mm_storel_epi64((__m128i *)(to[1] + at), _mm_unpackhi_epi64(first, first));
    _mm_storel_epi64((__m128i *)(to[2] + at), second);
    _mm_storel_epi64((__m128i *)(to[3] + at), _mm_unpackhi_epi64(second, second));
}

static inline vector taps_at(const uint8_t *row, const int32_t *at, int channels) {
    if (channels == 1) return _mm256_i32gather_epi32((const int *)row, load(at), 1);
    vector found;
    if (channels == 2) {
        found = _mm256_i32gather_epi64((const long long *)row, _mm_loadu_si128((const __m128i *)at), 1);
        return _mm256_shuffle_epi8(
            found, _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)));
    }
    found = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(row + at[0])));
    found = _mm256_inserti128_si256(found, _mm_loadu_si128((const __m128i *)(row + at[1])), 1);
    __m128i order = channels == 3 ? _mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1)
                                  : _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm256_shuffle_epi8(found, _mm256_broadcastsi128_si256(order));
}

static inline vector repeated(const int32_t *weights, int channels) {
    if (channels == 1) return load(weights);
    if (channels == 2)
        return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)weights)),
                                           _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
    return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)weights)),
                                       _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

#endif

#endif
