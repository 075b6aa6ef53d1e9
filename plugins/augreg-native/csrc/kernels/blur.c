/* A Gaussian blur as three box filters along each side, with the bytes of Pillow.

   A box of radius r + a fraction has 2 r + 1 whole weights and one at each end for the fraction, in 24-bit fixed point; bytes
   are rounded after every box, and edges are repeated. A line is a row, or a strip of columns, whose rows lie one after the
   other: then neighbors are `step` bytes apart in both cases. */

#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STRIP = 64, BOXES = 3 };

typedef struct {
    int32_t radius;
    uint32_t whole, fraction; /* the weights, of 2^24 */
} box;

/* The box whose threefold repetition has this deviation: Gwosdek et al. 2011. In single precision, like Pillow. */
static box box_for(float sigma) {
    float variance = sigma * sigma / BOXES;
    float length = (float)sqrt(12.0 * variance + 1.0);
    float l = (float)floor((length - 1.0) / 2.0);
    float a = (2 * l + 1) * (l * (l + 1) - 3 * variance);
    a /= 6 * (variance - (l + 1) * (l + 1));
    float radius = l + a;
    box found = {.radius = (int32_t)radius};
    found.whole = (uint32_t)((float)(1 << 24) / (radius * 2 + 1));
    found.fraction = ((1u << 24) - (uint32_t)(found.radius * 2 + 1) * found.whole) / 2;
    return found;
}

/* Two lines of bytes and two of sums, each with room for the repeated edges before and after it. */
typedef struct {
    uint8_t *line, *other;
    uint16_t *sums, *parts;
    size_t margin;
    uint8_t *memory;
} lines;

static int allocate(lines *found, size_t count, size_t margin) {
    size_t length = (count + 2 * margin + 63) & ~(size_t)63;
    found->memory = malloc(6 * length);
    if (found->memory == NULL) return AUGREG_NO_MEMORY;
    found->sums = (uint16_t *)found->memory;
    found->parts = found->sums + length;
    found->line = (uint8_t *)(found->parts + length) + margin;
    found->other = found->line + length;
    found->margin = margin;
    return AUGREG_OK;
}

static void repeat_edges(uint8_t *line, size_t count, size_t step, size_t margin) {
    for (size_t at = 0; at < margin; at += step) {
        memcpy(line - margin + at, line, step);
        memcpy(line + count + at, line + count - step, step);
    }
}

/* Sums of 2 radius + 1 neighbors: sums of 1, 2, 4 and so on, from which those of the binary digits are added up. */
static void add_up(const uint8_t *restrict line, size_t count, size_t step, int32_t radius, uint16_t *restrict parts,
                   uint16_t *restrict sums) {
    size_t reach = (size_t)radius * step, length = count + 2 * reach;
    const uint8_t *restrict first = line - reach;
    for (size_t i = 0; i < length; i++) parts[i] = first[i];
    for (size_t i = 0; i < count; i++) sums[i] = first[i + 2 * reach]; /* the number is odd */
    size_t done = 0;
    for (size_t width = 2, left = (size_t)radius; left > 0; width *= 2, left /= 2) {
        size_t half = width / 2 * step;
#ifdef __clang__
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
        for (size_t i = 0; i < length - half; i++) parts[i] = (uint16_t)(parts[i] + parts[i + half]);
        length -= half;
        if (left & 1) {
            for (size_t i = 0; i < count; i++) sums[i] = (uint16_t)(sums[i] + parts[i + done]);
            done += width * step;
        }
    }
}

#if defined(__AVX512BW__)

typedef __m512i lanes; /* of 16 bits */
#define OP(name) _mm512_##name
static inline lanes load(const uint16_t *from) { return _mm512_loadu_si512(from); }
static inline lanes widened(const uint8_t *from) { return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)from)); }
static inline void store(uint8_t *to, lanes words) { _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi16_epi8(words)); }

#elif AUGREG_VECTORS

typedef __m256i lanes;
#define OP(name) _mm256_##name
static inline lanes load(const uint16_t *from) { return _mm256_loadu_si256((const __m256i *)from); }
static inline lanes widened(const uint8_t *from) { return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)from)); }
static inline void store(uint8_t *to, lanes words) {
    __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)to, bytes);
}

#endif

#if AUGREG_VECTORS

/* Pixels by their own sums and the sums of the two at the ends of each box. Weights of 24 bits are taken apart, for products of
   16 bits whose sums are exact. */
static inline lanes weighted(lanes own, lanes ends, lanes high, lanes low) {
    const lanes half = OP(set1_epi32)(1 << 23);
    lanes parts[2] = {OP(unpacklo_epi16)(own, ends), OP(unpackhi_epi16)(own, ends)};
    for (int k = 0; k < 2; k++) {
        lanes top = OP(slli_epi32)(OP(madd_epi16)(parts[k], high), 12);
        lanes sum = OP(add_epi32)(OP(add_epi32)(top, OP(madd_epi16)(parts[k], low)), half);
        parts[k] = OP(srli_epi32)(sum, 24);
    }
    return OP(packus_epi32)(parts[0], parts[1]);
}

static inline lanes weights(uint32_t whole, uint32_t fraction) { return OP(set1_epi32)((int32_t)(whole | fraction << 16)); }

/* As many as fill vectors; returns their number. */
static size_t in_vectors(const uint8_t *line, const uint16_t *sums, size_t count, size_t far, const box *box, uint8_t *to) {
    const lanes high = weights(box->whole >> 12, box->fraction >> 12);
    const lanes low = weights(box->whole & 4095, box->fraction & 4095);
    const size_t step = sizeof(lanes) / 2;
    if (box->radius > 63) return 0; /* sums of 255 have to fit into 15 bits */
    size_t i = 0;
    for (; i + step <= count; i += step) {
        lanes own = sums == NULL ? widened(line + i) : load(sums + i);
        lanes ends = OP(add_epi16)(widened(line + i - far), widened(line + i + far));
        store(to + i, weighted(own, ends, high, low));
    }
    return i;
}

#else

static size_t in_vectors(const uint8_t *line, const uint16_t *sums, size_t count, size_t far, const box *box, uint8_t *to) {
    (void)line, (void)sums, (void)count, (void)far, (void)box, (void)to;
    return 0;
}

#endif

/* One pass of a box; without sums the line itself is the sum. */
static void filter(const uint8_t *restrict line, const uint16_t *restrict sums, size_t count, size_t far, const box *box,
                   uint8_t *restrict to) {
    uint32_t whole = box->whole, fraction = box->fraction;
    for (size_t i = in_vectors(line, sums, count, far, box, to); i < count; i++) {
        uint32_t own = sums == NULL ? line[i] : sums[i], ends = (uint32_t)line[(ptrdiff_t)i - (ptrdiff_t)far] + line[i + far];
        to[i] = (uint8_t)((own * whole + ends * fraction + (1u << 23)) >> 24);
    }
}

/* Blur `line` in place. */
static void blurred(lines *at, size_t count, size_t step, const box *box) {
    size_t far = ((size_t)box->radius + 1) * step;
    for (int pass = 0; pass < BOXES; pass++) {
        repeat_edges(at->line, count, step, far);
        if (box->radius > 0) add_up(at->line, count, step, box->radius, at->parts, at->sums);
        filter(at->line, box->radius > 0 ? at->sums : NULL, count, far, box, at->other);
        uint8_t *line = at->line;
        at->line = at->other;
        at->other = line;
    }
}

int NAME(blur)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    box box = box_for((float)((const augreg_blur *)op)->sigma);
    size_t row = (size_t)in->width * (size_t)in->channels, height = (size_t)in->height, channels = (size_t)in->channels;
    size_t edge = (size_t)box.radius + 1;
    size_t strip = row < STRIP ? row : STRIP;
    size_t longest = row > height * strip ? row : height * strip;
    lines at;
    if (allocate(&at, longest, edge * strip) != AUGREG_OK) return AUGREG_NO_MEMORY;
    for (size_t y = 0; y < height; y++) {
        memcpy(at.line, in->data + (ptrdiff_t)y * in->row, row);
        blurred(&at, row, channels, &box);
        memcpy(out->data + y * row, at.line, row);
    }
    for (size_t left = 0; left < row; left += STRIP) {
        strip = row - left < STRIP ? row - left : STRIP;
        uint8_t *column = out->data + left;
        for (size_t y = 0; y < height; y++) memcpy(at.line + y * strip, column + y * row, strip);
        blurred(&at, height * strip, strip, &box);
        for (size_t y = 0; y < height; y++) memcpy(column + y * row, at.line + y * strip, strip);
    }
    free(at.memory);
    return AUGREG_OK;
}
