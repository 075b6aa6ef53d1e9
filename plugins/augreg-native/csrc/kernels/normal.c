/* Standard normal numbers: words of Philox4x64-10, and the Box-Muller transform in double precision.

   The core does the same with NumPy's functions. Those are accurate to about one unit in the last place of a double, and so
   are the ones here; the result is rounded to single precision, so that a difference in the last place of a double shows
   about once in 10^8 numbers, and then as one unit in the last place of a float. */

#include "normal.h"
#include "../philox.h"

#include <math.h>
#include <string.h>

static const uint64_t FIELD = 5; /* the domain of fields in augreg.rng */

/* The words of the key in each round. */
typedef struct {
    uint64_t keys[AUGREG_PHILOX_ROUNDS][2];
} schedule;

static schedule scheduled(uint64_t key) {
    schedule found;
    uint64_t low = key, high = FIELD;
    for (int round = 0; round < AUGREG_PHILOX_ROUNDS; round++) {
        found.keys[round][0] = low;
        found.keys[round][1] = high;
        low += AUGREG_PHILOX_STEP_LEFT;
        high += AUGREG_PHILOX_STEP_RIGHT;
    }
    return found;
}

#if defined(__AVX512DQ__)

enum { GROUPS = 2, BLOCKS = 8 * GROUPS }; /* at once: one a lane, and groups in turn, because each waits for its products */

/* The high words of 64-bit products with a constant; the low words go to `low`. */
static inline __m512i products(__m512i a, uint64_t constant, __m512i *low) {
    __m512i half = _mm512_set1_epi64(0xFFFFFFFF), c_low = _mm512_set1_epi64((int64_t)(constant & 0xFFFFFFFF));
    __m512i c_high = _mm512_set1_epi64((int64_t)(constant >> 32)), a_high = _mm512_srli_epi64(a, 32);
    __m512i bottom = _mm512_mul_epu32(a, c_low), top = _mm512_mul_epu32(a_high, c_high);
    __m512i left = _mm512_add_epi64(_mm512_mul_epu32(a_high, c_low), _mm512_srli_epi64(bottom, 32));
    __m512i right = _mm512_add_epi64(_mm512_mul_epu32(a, c_high), _mm512_and_si512(left, half));
    *low = _mm512_mask_blend_epi32(0x5555, _mm512_slli_epi64(right, 32), bottom);
    return _mm512_add_epi64(_mm512_add_epi64(top, _mm512_srli_epi64(left, 32)), _mm512_srli_epi64(right, 32));
}

static inline void store(double *units, __m512i words) {
    _mm512_storeu_pd(units, _mm512_cvtepu64_pd(_mm512_srli_epi64(words, 11)));
}

/* From a vector for each word of eight blocks to one block after the other, as whole numbers below 2^53. */
static inline void store_blocks(__m512i a, __m512i b, __m512i c, __m512i d, double *units) {
    __m512i ab_even = _mm512_unpacklo_epi64(a, b), ab_odd = _mm512_unpackhi_epi64(a, b);
    __m512i cd_even = _mm512_unpacklo_epi64(c, d), cd_odd = _mm512_unpackhi_epi64(c, d);
    __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (int part = 0; part < 2; part++) {
        __m512i order = part ? last : first;
        __m512i even = _mm512_permutex2var_epi64(ab_even, order, cd_even);
        __m512i odd = _mm512_permutex2var_epi64(ab_odd, order, cd_odd);
        store(units + 16 * part, _mm512_shuffle_i64x2(even, odd, 0x44));
        store(units + 16 * part + 8, _mm512_shuffle_i64x2(even, odd, 0xEE));
    }
}

/* The words of the blocks from `block` on. */
static inline void make(const schedule *schedule, uint64_t block, double *units) {
    __m512i a[GROUPS], b[GROUPS], c[GROUPS], d[GROUPS];
    for (int group = 0; group < GROUPS; group++) {
        __m512i lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
        a[group] = _mm512_add_epi64(_mm512_set1_epi64((int64_t)(block + 8 * (uint64_t)group)), lanes);
        b[group] = c[group] = d[group] = _mm512_setzero_si512();
    }
    for (int round = 0; round < AUGREG_PHILOX_ROUNDS; round++) {
        __m512i low = _mm512_set1_epi64((int64_t)schedule->keys[round][0]);
        __m512i high = _mm512_set1_epi64((int64_t)schedule->keys[round][1]);
        for (int group = 0; group < GROUPS; group++) {
            __m512i left, right, above = products(a[group], AUGREG_PHILOX_FACTOR_A, &left);
            __m512i beyond = products(c[group], AUGREG_PHILOX_FACTOR_C, &right);
            a[group] = _mm512_xor_si512(_mm512_xor_si512(beyond, b[group]), low);
            b[group] = right;
            c[group] = _mm512_xor_si512(_mm512_xor_si512(above, d[group]), high);
            d[group] = left;
        }
    }
    for (int group = 0; group < GROUPS; group++)
        store_blocks(a[group], b[group], c[group], d[group], units + 32 * group);
}

#else

enum { BLOCKS = 1 };

static inline void make(const schedule *schedule, uint64_t block, double *units) {
    uint64_t a = block, b = 0, c = 0, d = 0;
    for (int round = 0; round < AUGREG_PHILOX_ROUNDS; round++) {
        uint64_t a_low, c_low, a_high = augreg_product(AUGREG_PHILOX_FACTOR_A, a, &a_low);
        uint64_t c_high = augreg_product(AUGREG_PHILOX_FACTOR_C, c, &c_low);
        a = c_high ^ b ^ schedule->keys[round][0];
        b = c_low;
        c = a_high ^ d ^ schedule->keys[round][1];
        d = a_low;
    }
    units[0] = (double)(int64_t)(a >> 11);
    units[1] = (double)(int64_t)(b >> 11);
    units[2] = (double)(int64_t)(c >> 11);
    units[3] = (double)(int64_t)(d >> 11);
}

#endif

enum { MOST_UNITS = AUGREG_PAIRS + 4 * BLOCKS + 4 };

/* Words as whole numbers below 2^53, in `units`. Returns where the first is. */
static const double *fetch(const schedule *schedule, uint64_t start, int32_t count, double *units) {
    int32_t skipped = (int32_t)(start % 4);
    for (int32_t i = 0; i < skipped + count; i += 4 * BLOCKS) /* NumPy counts up before it makes a block */
        make(schedule, start / 4 + 1 + (uint64_t)(i / 4), units + i);
    return units + skipped;
}

static inline double as_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t as_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* sqrt(-2 log(1 - u)), where u is a whole number of 2^-53. 1 - u is exact; it is 2^e z, with z between sqrt(1/2) and
   sqrt(2), and log z = 2 atanh(s) with s = (z - 1) / (z + 1). */
static void radii(const double *restrict units, int32_t count, double *restrict radius) {
    for (int32_t i = 0; i < count; i++) {
        uint64_t bits = as_bits(1.0 - units[i] * 0x1p-53) + (0x4000000000000000u - 0x3FE6A09E667F3BCDu);
        uint64_t power = bits >> 52; /* e + 1024 */
        double e = as_double(power | 0x4330000000000000u) - (0x1p52 + 1024.0);
        double f = as_double((bits & 0x000FFFFFFFFFFFFFu) + 0x3FE6A09E667F3BCDu) - 1.0;
        double s = f / (2.0 + f), w = s * s;
        double series = 0.15331611722055008 + w * 0.14617807153417325;
        series = 0.1818289243253687 + w * series;
        series = 0.22222211089379496 + w * series;
        series = 0.28571428626253836 + w * series;
        series = 0.3999999999989889 + w * series;
        series = 0.666666666666667 + w * series;
        double log_z = f - (s * (f - w * series) - e * 1.9082149292705877e-10);
        radius[i] = sqrt(-2.0 * (e * 0.6931471803691238 + log_z));
    }
}

/* The radius times the cosine, and times the sine, of 2 pi u. The angle is reduced by quarter turns to at most pi / 4. */
static void waves(const double *restrict units, const double *restrict radius, int32_t count, float *restrict cosines,
                  float *restrict sines) {
    for (int32_t i = 0; i < count; i++) {
        double angle = 6.283185307179586 * (units[i] * 0x1p-53);
        double turns = angle * 0.6366197723675814 + 0x1.8p52;
        uint64_t quarter = as_bits(turns); /* its lowest bits */
        turns -= 0x1.8p52;
        double r = (angle - turns * 1.5707963267341256) - turns * 6.077100506506192e-11, w = r * r;
        double sine = -2.5051131455427946e-08 + w * 1.591810123027412e-10;
        sine = 2.755731610068303e-06 + w * sine;
        sine = -0.0001984126983675497 + w * sine;
        sine = 0.008333333333330946 + w * sine;
        sine = -0.16666666666666666 + w * sine;
        sine = r + r * (w * sine);
        double cosine = 2.0876146024689747e-09 - w * 1.1382614868556325e-11;
        cosine = -2.7557317270560326e-07 + w * cosine;
        cosine = 2.4801587298763433e-05 + w * cosine;
        cosine = -0.0013888888888887395 + w * cosine;
        cosine = 0.041666666666666664 + w * cosine;
        cosine = 1.0 - (0.5 * w - w * w * cosine);
        /* an odd quarter turn exchanges both; the signs change after one and two, and after two and three */
        uint64_t odd = 0 - (quarter & 1), s = as_bits(sine), c = as_bits(cosine), change = (s ^ c) & odd;
        c = (c ^ change) ^ ((quarter + 1) << 62 & 0x8000000000000000u);
        s = (s ^ change) ^ (quarter << 62 & 0x8000000000000000u);
        cosines[i] = (float)(radius[i] * as_double(c));
        sines[i] = (float)(radius[i] * as_double(s));
    }
}

void NAME(normal_pairs)(uint64_t key, uint64_t half, uint64_t start, int32_t count, float *first, float *second) {
    double units[MOST_UNITS], radius[AUGREG_PAIRS];
    schedule schedule = scheduled(key);
    radii(fetch(&schedule, start, count, units), count, radius);
    waves(fetch(&schedule, half + start, count, units), radius, count, first, second);
}

void NAME(uniform)(uint64_t key, uint64_t start, int32_t count, float *to) {
    double units[MOST_UNITS];
    schedule schedule = scheduled(key);
    const double *found = fetch(&schedule, start, count, units);
    for (int32_t i = 0; i < count; i++) to[i] = (float)(int32_t)(found[i] * 0x1p-29) * 0x1p-24f;
}
