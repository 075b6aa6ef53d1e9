/* Bytes to planes of floats. */

#include "kernels.h"

enum { CHUNK = 256 };

static void scaled(const uint8_t *from, int32_t count, int32_t channels, double scale, double offset, float *to) {
    for (int32_t x = 0; x < count; x++) to[x] = (float)((double)from[(size_t)x * channels] * scale + offset);
}

static void looked_up(const uint8_t *from, int32_t count, int32_t channels, const float *table, float *to) {
    for (int32_t x = 0; x < count; x++) to[x] = table[from[(size_t)x * channels]];
}

int NAME(normalize)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_normalize *normalize = (const augreg_normalize *)op;
    const float *tables = (const float *)(normalize + 1);
    for (int32_t y = 0; y < in->height; y++) {
        for (int32_t x = 0; x < in->width; x += CHUNK) {
            int32_t count = in->width - x < CHUNK ? in->width - x : CHUNK;
            for (int32_t c = 0; c < in->channels; c++) {
                const uint8_t *from = in->data + y * in->row + x * in->pixel + c;
                float *to = (float *)(out->data + y * out->row + c * out->channel) + x;
                if (normalize->tables) {
                    looked_up(from, count, in->channels, tables + 256 * c, to);
                } else {
                    scaled(from, count, in->channels, normalize->scale[c], normalize->offset[c], to);
                }
            }
        }
    }
    return AUGREG_OK;
}
