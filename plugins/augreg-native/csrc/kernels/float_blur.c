/* Planes of floats convolved with the same weights down the columns and then along the rows; edges are repeated. The sums are
   those of the core, in single precision and from the first neighbor to the last. */

#include "kernels.h"

#include <stdlib.h>
#include <string.h>

static __attribute__((noinline)) void add(const float *restrict from, size_t count, float weight, float *restrict sums) {
    for (size_t i = 0; i < count; i++) sums[i] += from[i] * weight;
}

int NAME(float_blur)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_float_blur *blur = (const augreg_float_blur *)op;
    const float *weights = (const float *)(blur + 1);
    int32_t reach = blur->reach, height = in->height;
    size_t width = (size_t)in->width, border = (size_t)reach;
    float *line = malloc((width + 2 * border) * sizeof(float));
    if (line == NULL) return AUGREG_NO_MEMORY;
    for (int32_t c = 0; c < in->channels; c++) {
        for (int32_t y = 0; y < height; y++) {
            float *sums = line + border, *to = (float *)(out->data + c * out->channel + y * out->row);
            memset(sums, 0, width * sizeof(float));
            for (int32_t k = 0; k <= 2 * reach; k++) {
                int32_t row = y + k - reach;
                row = row < 0 ? 0 : row < height ? row : height - 1;
                add((const float *)(in->data + c * in->channel + row * in->row), width, weights[k], sums);
            }
            for (size_t x = 0; x < border; x++) {
                line[x] = sums[0];
                sums[width + x] = sums[width - 1];
            }
            memset(to, 0, width * sizeof(float));
            for (int32_t k = 0; k <= 2 * reach; k++) add(line + k, width, weights[k], to);
        }
    }
    free(line);
    return AUGREG_OK;
}
