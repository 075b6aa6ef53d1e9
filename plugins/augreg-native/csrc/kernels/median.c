/* The median of a square around each pixel; edges are repeated.

   Small squares: all values are compared in vectors, one lane for each byte of a row. Half of the values and two more are
   held at first; the least and the largest of them cannot be the median, and are forgotten for the next value, until one is
   left. Larger squares: a histogram moves along the row. */

#include "edges.h"

#include <stdlib.h>
#include <string.h>

#if defined(__AVX512BW__)
typedef __m512i lanes;
#define LOAD(from) _mm512_loadu_si512(from)
#define STORE(to, value) _mm512_storeu_si512(to, value)
#define LEAST _mm512_min_epu8
#define MOST _mm512_max_epu8
#elif defined(__AVX2__)
typedef __m256i lanes;
#define LOAD(from) _mm256_loadu_si256((const __m256i *)(from))
#define STORE(to, value) _mm256_storeu_si256((__m256i *)(to), value)
#define LEAST _mm256_min_epu8
#define MOST _mm256_max_epu8
#elif defined(__SSE2__)
#include <emmintrin.h>
typedef __m128i lanes;
#define LOAD(from) _mm_loadu_si128((const __m128i *)(from))
#define STORE(to, value) _mm_storeu_si128((__m128i *)(to), value)
#define LEAST _mm_min_epu8
#define MOST _mm_max_epu8
#elif defined(__ARM_NEON)
#include <arm_neon.h>
typedef uint8x16_t lanes;
#define LOAD(from) vld1q_u8(from)
#define STORE(to, value) vst1q_u8(to, value)
#define LEAST vminq_u8
#define MOST vmaxq_u8
#else
typedef uint8_t lanes;
#define LOAD(from) (*(const uint8_t *)(from))
#define STORE(to, value) (*(to) = (value))
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define MOST(a, b) ((a) < (b) ? (b) : (a))
#endif

enum { COMPARED = 7, SLACK = 64 }; /* the largest square whose values are compared; bytes read beyond a row */

static inline void order(lanes *a, lanes *b) {
    lanes low = LEAST(*a, *b);
    *b = MOST(*a, *b);
    *a = low;
}

/* The median of an odd number of values, which are moved. */
static inline __attribute__((always_inline)) lanes middle_of(lanes *values, const int count) {
    const int first = count / 2 + 2;
    int next = first, low = 0; /* the values held are those from `low` on */
#pragma GCC unroll 32
    for (int held = first; held > 2; held--, low++) {
#pragma GCC unroll 32
        for (int i = 0; i < held / 2; i++) order(&values[low + i], &values[low + held - 1 - i]);
#pragma GCC unroll 32
        for (int i = 1; i < (held + 1) / 2; i++) order(&values[low], &values[low + i]);
#pragma GCC unroll 32
        for (int i = held / 2; i < held - 1; i++) order(&values[low + i], &values[low + held - 1]);
        if (next < count) values[low + held - 1] = values[next++];
    }
    return values[low];
}

/* A row by comparison. `from` is its first pixel in an image with a border; `row` and `step` are the distances of neighbors. */
static inline __attribute__((always_inline)) void compared(const uint8_t *from, ptrdiff_t row, ptrdiff_t step, size_t count,
                                                           const int size, uint8_t *to) {
    const int reach = size / 2;
    for (size_t i = 0; i < count; i += sizeof(lanes)) {
        lanes values[COMPARED * COMPARED];
#pragma GCC unroll 8
        for (int y = 0; y < size; y++)
#pragma GCC unroll 8
            for (int x = 0; x < size; x++)
                values[y * size + x] = LOAD(from + (ptrdiff_t)i + (y - reach) * row + (x - reach) * step);
        lanes found = middle_of(values, size * size);
        if (count - i >= sizeof(lanes)) {
            STORE(to + i, found);
        } else {
            uint8_t last[sizeof(lanes)];
            STORE(last, found);
            memcpy(to + i, last, count - i);
        }
    }
}

/* One channel of a row by a histogram, of which `below` values are less than `middle`. */
static void counted(const uint8_t *from, ptrdiff_t row, ptrdiff_t step, int32_t width, int32_t size, uint8_t *to) {
    int32_t histogram[256] = {0}, reach = size / 2, half = size * size / 2, below = 0, middle = 0;
    for (int32_t x = -reach; x < width + reach; x++) {
        const uint8_t *fresh = from + x * step - reach * row, *old = fresh - size * step;
        for (int32_t y = 0; y < size; y++) {
            uint8_t value = fresh[y * row];
            histogram[value]++;
            below += value < middle;
        }
        if (x < reach) continue;
        if (x > reach) {
            for (int32_t y = 0; y < size; y++) {
                uint8_t value = old[y * row];
                histogram[value]--;
                below -= value < middle;
            }
        }
        while (below > half) below -= histogram[--middle];
        while (below + histogram[middle] <= half) below += histogram[middle++];
        to[(x - reach) * step] = (uint8_t)middle;
    }
}

int NAME(median)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    int32_t size = ((const augreg_median *)op)->size, reach = size / 2, channels = in->channels;
    size_t bytes = (size_t)in->width * (size_t)channels;
    ptrdiff_t row = ((ptrdiff_t)in->width + 2 * reach) * channels;
    uint8_t *memory = NAME(with_edges)(in, reach, SLACK);
    if (memory == NULL) return AUGREG_NO_MEMORY;
    for (int32_t y = 0; y < in->height; y++) {
        const uint8_t *from = memory + (y + reach) * row + (ptrdiff_t)reach * channels;
        uint8_t *to = out->data + y * out->row;
        if (size == 3) {
            compared(from, row, channels, bytes, 3, to);
        } else if (size == 5) {
            compared(from, row, channels, bytes, 5, to);
        } else if (size == COMPARED) {
            compared(from, row, channels, bytes, COMPARED, to);
        } else {
            for (int32_t c = 0; c < channels; c++) counted(from + c, row, channels, in->width, size, to + c);
        }
    }
    free(memory);
    return AUGREG_OK;
}
