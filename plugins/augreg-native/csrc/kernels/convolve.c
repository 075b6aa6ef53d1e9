/* Sums of products with the neighbors of each pixel, in single precision and in a given order; edges are repeated. */

#include "floats.h"
#include "sums.h"

#include <stdlib.h>
#include <string.h>

/* The rows of the image that the current row reads, as floats with `border` values before and after: row y is in the place
   y % count. */
typedef struct {
    float *values;
    int32_t count;
    size_t border, length;
} window;

static float *row_of(const window *from, int32_t y) { return from->values + (size_t)(y % from->count) * from->length; }

static __attribute__((noinline)) void as_floats(const uint8_t *restrict from, size_t count, float *restrict to) {
    for (size_t i = 0; i < count; i++) to[i] = (float)from[i];
}

static void read_row(const augreg_image *in, int32_t y, const window *to) {
    const size_t channels = (size_t)in->channels, values = (size_t)in->width * channels;
    float *first = row_of(to, y) + to->border, *last = first + values - channels;
    as_floats(in->data + y * in->row, values, first);
    for (size_t x = channels; x <= to->border; x += channels) {
        memcpy(first - x, first, channels * sizeof *first);
        memcpy(last + x, last, channels * sizeof *last);
    }
}

static __attribute__((noinline)) void as_bytes(const float *restrict sums, size_t count, uint8_t *restrict to) {
    for (size_t i = 0; i < count; i++) {
        const float sum = least(most(sums[i], 0.0f), 255.0f);
        to[i] = (uint8_t)(int32_t)rounded(sum);
    }
}

int NAME(convolve)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_convolve *convolve = (const augreg_convolve *)op;
    const augreg_tap *taps = (const augreg_tap *)(convolve + 1);
    const int32_t reach = convolve->reach, height = in->height, channels = in->channels;
    const size_t bytes = (size_t)in->width * (size_t)channels, count = (size_t)convolve->taps;
    window near = {.count = 2 * reach + 1 < height ? 2 * reach + 1 : height, .border = (size_t)reach * (size_t)channels};
    near.length = bytes + 2 * near.border;
    near.values = malloc((size_t)near.count * near.length * sizeof(float));
    float *sums = malloc(bytes * sizeof *sums), *weights = malloc(count * sizeof *weights + 1);
    const float **rows = malloc(count * sizeof *rows + 1);
    const int status = near.values == NULL || sums == NULL || weights == NULL || rows == NULL ? AUGREG_NO_MEMORY : AUGREG_OK;
    if (status == AUGREG_OK) {
        int32_t next = 0; /* the row to read */
        for (size_t k = 0; k < count; k++) weights[k] = taps[k].weight;
        for (int32_t y = 0; y < height; y++) {
            for (; next < height && next <= y + reach; next++) read_row(in, next, &near);
            for (size_t k = 0; k < count; k++) {
                const int32_t row = y + taps[k].y;
                rows[k] = row_of(&near, row < 0 ? 0 : row < height ? row : height - 1) + near.border +
                          (ptrdiff_t)taps[k].x * channels;
            }
            NAME(sum_rows)(rows, weights, count, bytes, sums);
            as_bytes(sums, bytes, out->data + y * out->row);
        }
    }
    free(near.values);
    free(sums);
    free(weights);
    free(rows);
    return status;
}
