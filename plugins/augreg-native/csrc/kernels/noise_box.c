/* Boxes of noise: the numbers of a field for all values of the box, pixel by pixel. */

#include "normal.h"

#include <stdlib.h>

/* All standard normal numbers of a field. */
static void all_normal(uint64_t key, int64_t total, float *numbers) {
    int64_t half = (total + 1) / 2;
    for (int64_t start = 0; start < half; start += AUGREG_PAIRS) {
        float second[AUGREG_PAIRS];
        int32_t count = half - start < AUGREG_PAIRS ? (int32_t)(half - start) : AUGREG_PAIRS;
        NAME(normal_pairs)(key, (uint64_t)half, (uint64_t)start, count, numbers + start, second);
        for (int32_t i = 0; i < count && half + start + i < total; i++) numbers[half + start + i] = second[i];
    }
}

int NAME(noise_box)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_noise_box *box = (const augreg_noise_box *)op;
    const int32_t channels = in->channels;
    const int64_t total = (int64_t)box->height * box->width * channels;
    float *numbers = malloc((size_t)total * sizeof(float));
    if (numbers == NULL) return AUGREG_NO_MEMORY;
    if (in->data != out->data) NAME(copy)(in, out);
    if (box->normal)
        all_normal(box->key, total, numbers);
    else
        for (int64_t start = 0; start < total; start += AUGREG_PAIRS)
            NAME(uniform)(box->key, (uint64_t)start, total - start < AUGREG_PAIRS ? (int32_t)(total - start) : AUGREG_PAIRS,
                          numbers + start);
    const float *from = numbers;
    for (int32_t y = 0; y < box->height; y++, from += (int64_t)box->width * channels) {
        uint8_t *row = out->data + (box->top + y) * out->row + box->left * out->pixel;
        if (!out->floats) {
            for (int64_t i = 0; i < (int64_t)box->width * channels; i++) row[i] = (uint8_t)(int32_t)(from[i] * 256.0f);
            continue;
        }
        for (int32_t c = 0; c < channels; c++) {
            float *to = (float *)(row + c * out->channel);
            for (int32_t x = 0; x < box->width; x++) to[x] = from[(int64_t)x * channels + c];
        }
    }
    free(numbers);
    return AUGREG_OK;
}
