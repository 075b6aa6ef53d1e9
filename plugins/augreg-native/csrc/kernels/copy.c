/* Copies of views: crops, flips, quarter turns, and planes of bytes side by side. */

#include "kernels.h"

#include <string.h>

/* One row, pixel by pixel. */
static void copy_row(const uint8_t *from, ptrdiff_t pixel, ptrdiff_t channel, uint8_t *to, int32_t width, int32_t channels) {
    for (int32_t c = 0; c < channels; c++)
        for (int32_t x = 0; x < width; x++) to[(size_t)x * channels + c] = from[x * pixel + c * channel];
}

static void copy_floats(const uint8_t *from, ptrdiff_t pixel, uint8_t *to, int32_t width) {
    for (int32_t x = 0; x < width; x++) memcpy(to + 4 * (size_t)x, from + x * pixel, 4);
}

void NAME(copy)(const augreg_image *in, const augreg_image *out) {
    size_t bytes = (size_t)in->width * (in->floats ? 4 : in->channels);
    for (int32_t c = 0; c < (in->floats ? in->channels : 1); c++) {
        for (int32_t y = 0; y < in->height; y++) {
            const uint8_t *from = in->data + y * in->row + c * in->channel;
            uint8_t *to = out->data + y * out->row + c * out->channel;
            if (in->pixel == out->pixel && (in->floats || in->channel == 1)) {
                memcpy(to, from, bytes);
            } else if (in->floats) {
                copy_floats(from, in->pixel, to, in->width);
            } else {
                copy_row(from, in->pixel, in->channel, to, in->width, in->channels);
            }
        }
    }
}
