/* Sharpness: a blend of the image with a smoothed copy of it, with the bytes of Pillow. The border stays as it is. */

#include "floats.h"
#include "kernels.h"

#include <string.h>

enum { PIECE = 512 };

/* `count` bytes of a row; `step` is the distance of neighbors. */
static void sharpened(const uint8_t *restrict above, const uint8_t *restrict row, const uint8_t *restrict below,
                      ptrdiff_t step, size_t count, float factor, uint8_t *restrict to) {
    uint16_t sums[PIECE];
    for (size_t start = 0; start < count; start += PIECE) {
        size_t piece = count - start < PIECE ? count - start : PIECE;
        const uint8_t *restrict a = above + start, *restrict b = row + start, *restrict c = below + start;
        uint8_t *restrict out = to + start;
        for (size_t i = 0; i < piece; i++) {
            const uint8_t *p = a + i, *q = b + i, *r = c + i;
            uint16_t sum = (uint16_t)(p[-step] + p[0] + p[step] + q[-step] + 5 * q[0] + q[step] + r[-step] + r[0] + r[step]);
            /* a 13th, rounded: no multiple of 1/13 lies halfway, and 5042 / 65536 is exact enough for these sums */
            sums[i] = (uint16_t)((uint32_t)(uint16_t)(sum + 6) * 5042 >> 16);
        }
        for (size_t i = 0; i < piece; i++) {
            float smooth = sums[i], value = b[i];
            out[i] = (uint8_t)(int32_t)least(most(smooth + factor * (value - smooth), 0.0f), 255.0f);
        }
    }
}

int NAME(sharpen)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    float factor = (float)((const augreg_sharpen *)op)->factor;
    ptrdiff_t step = in->channels;
    size_t bytes = (size_t)in->width * (size_t)in->channels, edge = (size_t)step;
    for (int32_t y = 0; y < in->height; y++) {
        const uint8_t *row = in->data + y * in->row;
        uint8_t *to = out->data + y * out->row;
        if (y == 0 || y == in->height - 1 || in->width < 3) {
            memcpy(to, row, bytes);
            continue;
        }
        memcpy(to, row, edge);
        sharpened(row - in->row + step, row + step, row + in->row + step, step, bytes - 2 * edge, factor, to + step);
        memcpy(to + bytes - edge, row + bytes - edge, edge);
    }
    return AUGREG_OK;
}
