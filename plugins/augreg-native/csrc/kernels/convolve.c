/* Sums of products with the neighbors of each pixel, in single precision and in a given order. */

#include "edges.h"

#include <stdlib.h>

enum { PIECE = 512 };

/* A function of its own, so that the compiler knows that nothing overlaps. */
static __attribute__((noinline)) void add(const uint8_t *restrict from, size_t count, float weight, float *restrict sums) {
    for (size_t i = 0; i < count; i++) sums[i] += (float)from[i] * weight;
}

int NAME(convolve)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_convolve *convolve = (const augreg_convolve *)op;
    const augreg_tap *taps = (const augreg_tap *)(convolve + 1);
    int32_t reach = convolve->reach, channels = in->channels;
    size_t bytes = (size_t)in->width * (size_t)channels;
    ptrdiff_t row = ((ptrdiff_t)in->width + 2 * reach) * channels;
    uint8_t *memory = NAME(with_edges)(in, reach, 0);
    if (memory == NULL) return AUGREG_NO_MEMORY;
    for (int32_t y = 0; y < in->height; y++) {
        for (size_t start = 0; start < bytes; start += PIECE) {
            size_t count = bytes - start < PIECE ? bytes - start : PIECE;
            float sums[PIECE];
            for (size_t i = 0; i < count; i++) sums[i] = 0.0f;
            const uint8_t *middle = memory + (y + reach) * row + (ptrdiff_t)reach * channels + (ptrdiff_t)start;
            for (int32_t k = 0; k < convolve->taps; k++) {
                const uint8_t *from = middle + taps[k].y * row + (ptrdiff_t)taps[k].x * channels;
                add(from, count, taps[k].weight, sums);
            }
            uint8_t *restrict to = out->data + y * out->row + start;
            for (size_t i = 0; i < count; i++) {
                float sum = sums[i] < 0.0f ? 0.0f : sums[i];
                sum = sum < 255.0f ? sum : 255.0f;
                to[i] = (uint8_t)(int32_t)((sum + 0x1.8p23f) - 0x1.8p23f); /* halves to the even byte */
            }
        }
    }
    free(memory);
    return AUGREG_OK;
}
