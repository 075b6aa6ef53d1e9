/* The weights of a pass of a resize, in float64 and then in fixed point; docs/backends.md has the definition.

   Equal to Pillow's in every bit, so the order of the floating-point operations matters here. */

#include "weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define PI 3.14159265358979323846

static double sinc(double x) { return x == 0.0 ? 1.0 : sin(x * PI) / (x * PI); }

static inline double bilinear(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static inline double bicubic(double x) {
    x = fabs(x);
    if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
}

static inline double lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0; }

/* The values of the kernel at (k + 0.5 - center) * inverse for k from `from` on, and their sum. */
static double kernel(int32_t filter, int32_t from, int32_t count, double center, double inverse, double *values) {
    double sum = 0.0;
    if (filter == AUGREG_BILINEAR)
        for (int32_t k = 0; k < count; k++) values[k] = bilinear((k + from - center + 0.5) * inverse);
    else if (filter == AUGREG_BICUBIC)
        for (int32_t k = 0; k < count; k++) values[k] = bicubic((k + from - center + 0.5) * inverse);
    else
        for (int32_t k = 0; k < count; k++) values[k] = lanczos((k + from - center + 0.5) * inverse);
    for (int32_t k = 0; k < count; k++) sum += values[k];
    return sum;
}

typedef struct {
    int32_t from, to;
} span;

/* The pixels that the kernel around a center reaches. */
static inline span taps_of(double center, double reach, int32_t size) {
    span taps = {(int32_t)(center - reach + 0.5), (int32_t)(center + reach + 0.5)};
    if (taps.from < 0) taps.from = 0;
    if (taps.to > size) taps.to = size;
    return taps;
}

int augreg_weigh(int32_t size, double begin, double extent, int32_t new_size, int32_t first, int32_t length, int32_t filter,
                 int mirrored, int backward, augreg_weights *found) {
    static const double reaches[] = {[AUGREG_BILINEAR] = 1.0, [AUGREG_BICUBIC] = 2.0, [AUGREG_LANCZOS] = 3.0};
    const double scale = extent / new_size, wide = scale < 1.0 ? 1.0 : scale, inverse = 1.0 / wide;
    const double reach = reaches[filter] * wide;
    int32_t most = 1;
    for (int32_t i = 0; i < length; i++) {
        const span taps = taps_of(begin + (first + i + 0.5) * scale, reach, size);
        if (taps.to - taps.from > most) most = taps.to - taps.from;
    }
    const int32_t blocks = (most + 3) / 4, taps = 4 * blocks;
    /* one block of memory: starts, weights, and the values of one pixel */
    size_t starts = ((size_t)length * sizeof(int32_t) + 63) & ~(size_t)63;
    size_t weights = ((size_t)length * (size_t)taps * sizeof(int32_t) + 63) & ~(size_t)63;
    found->start = malloc(starts + weights + (size_t)taps * sizeof(double));
    if (found->start == NULL) return AUGREG_NO_MEMORY;
    found->length = length;
    found->blocks = blocks;
    found->weights = (int32_t *)((char *)found->start + starts);
    double *values = (double *)((char *)found->weights + weights);
    for (int32_t i = 0; i < length; i++) {
        const double center = begin + (first + i + 0.5) * scale;
        const span tap = taps_of(center, reach, size);
        const int32_t from = tap.from, count = tap.to - from, at = backward ? length - 1 - i : i;
        const int32_t start = mirrored ? size - tap.to : from;
        const double sum = kernel(filter, from, count, center, inverse, values);
        /* all taps lie within the side if it has that many pixels: weights of 0 come first or last */
        int32_t before = start + taps > size ? start + taps - size : 0;
        if (before > start) before = start;
        int32_t *row = found->weights + (size_t)at * (size_t)taps;
        memset(row, 0, (size_t)taps * sizeof(int32_t));
        for (int32_t k = 0; k < count; k++) {
            double one = (sum != 0.0 ? values[k] / sum : values[k]) * (1 << AUGREG_WEIGHT_BITS);
            row[before + (mirrored ? count - 1 - k : k)] = (int32_t)(one < 0.0 ? one - 0.5 : one + 0.5);
        }
        found->start[at] = start - before;
    }
    return AUGREG_OK;
}
