/* Weighted sums of rows of floats. The sums of some vectors are kept in registers while all rows are added. */

#include "sums.h"

#include <string.h>

#if defined(AUGREG_ISA_avx512)
enum { LANES = 16 };
#elif defined(AUGREG_ISA_avx2)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float lanes __attribute__((vector_size(4 * LANES)));

static inline __attribute__((always_inline)) void add_up(const float *const *rows, const float *weights, size_t count,
                                                         size_t at, float *to, const int vectors) {
    lanes sums[8];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sums[v] = (lanes){0};
    for (size_t k = 0; k < count; k++) {
        const float *row = rows[k] + at;
        const float weight = weights[k];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            lanes values;
            memcpy(&values, row + LANES * v, sizeof values);
            sums[v] += values * weight;
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) memcpy(to + at + LANES * v, &sums[v], sizeof(lanes));
}

void NAME(sum_rows)(const float *const *rows, const float *weights, size_t count, size_t width, float *to) {
    size_t at = 0;
    for (; at + 8 * LANES <= width; at += 8 * LANES) add_up(rows, weights, count, at, to, 8);
    if (at + 4 * LANES <= width) {
        add_up(rows, weights, count, at, to, 4);
        at += 4 * LANES;
    }
    if (at + 2 * LANES <= width) {
        add_up(rows, weights, count, at, to, 2);
        at += 2 * LANES;
    }
    if (at + LANES <= width) {
        add_up(rows, weights, count, at, to, 1);
        at += LANES;
    }
    for (; at < width; at++) {
        float sum = 0.0f;
        for (size_t k = 0; k < count; k++) sum += rows[k][at] * weights[k];
        to[at] = sum;
    }
}
