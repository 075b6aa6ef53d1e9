/* Antialiased resizing, equal to Pillow's in every bit. */

#include "kernels.h"

#include <math.h>
#include <stdlib.h>

#define BITS 22
#define PI 3.14159265358979323846

static const double reach[] = {[AUGREG_BILINEAR] = 1.0, [AUGREG_BICUBIC] = 2.0, [AUGREG_LANCZOS] = 3.0};

static double sinc(double x) { return x == 0.0 ? 1.0 : sin(x * PI) / (x * PI); }

static double weight(int32_t filter, double x) {
    if (filter == AUGREG_LANCZOS) return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
    x = fabs(x);
    if (filter == AUGREG_BILINEAR) return x < 1.0 ? 1.0 - x : 0.0;
    if (x < 1.0) return ((1.5) * x - 2.5) * x * x + 1.0;
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
}

/* The weights of a pass: of result pixel i, `taps` fixed-point weights from input pixel start[i] on. */
typedef struct {
    int32_t taps, *start, *count, *weights;
} pass;

static void release(pass *weights) {
    free(weights->start);
    free(weights->count);
    free(weights->weights);
}

static int prepare(pass *found, int32_t size, int32_t new_size, int32_t first, int32_t length, int32_t filter) {
    double scale = (double)size / new_size, wide = scale < 1.0 ? 1.0 : scale;
    double support = reach[filter] * wide, inverse = 1.0 / wide;
    found->taps = (int32_t)ceil(support) * 2 + 1;
    found->start = malloc((size_t)length * sizeof(int32_t));
    found->count = malloc((size_t)length * sizeof(int32_t));
    found->weights = malloc((size_t)length * found->taps * sizeof(int32_t));
    double *exact = malloc((size_t)found->taps * sizeof(double));
    if (!found->start || !found->count || !found->weights || !exact) {
        free(exact);
        return AUGREG_NO_MEMORY;
    }
    for (int32_t i = 0; i < length; i++) {
        double center = (first + i + 0.5) * scale, sum = 0.0;
        int32_t from = (int32_t)(center - support + 0.5), to = (int32_t)(center + support + 0.5);
        if (from < 0) from = 0;
        if (to > size) to = size;
        for (int32_t k = from; k < to; k++) {
            exact[k - from] = weight(filter, (k - center + 0.5) * inverse);
            sum += exact[k - from];
        }
        found->start[i] = from;
        found->count[i] = to - from;
        for (int32_t k = 0; k < to - from; k++) {
            double one = (sum != 0.0 ? exact[k] / sum : exact[k]) * (1 << BITS);
            found->weights[(size_t)i * found->taps + k] = (int32_t)(one < 0.0 ? one - 0.5 : one + 0.5);
        }
    }
    free(exact);
    return AUGREG_OK;
}

static uint8_t rounded(int32_t sum) {
    int32_t value = (sum + (1 << (BITS - 1))) >> BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void columns(const augreg_image *in, const augreg_image *out, const pass *weights, int mirrored) {
    for (int32_t y = 0; y < in->height; y++)
        for (int32_t x = 0; x < out->width; x++)
            for (int32_t c = 0; c < in->channels; c++) {
                int32_t sum = 0;
                for (int32_t k = 0; k < weights->count[x]; k++)
                    sum += weights->weights[(size_t)x * weights->taps + k] *
                           in->data[y * in->row + (weights->start[x] + k) * in->pixel + c];
                out->data[y * out->row + (mirrored ? out->width - 1 - x : x) * out->pixel + c] = rounded(sum);
            }
}

static void rows(const augreg_image *in, const augreg_image *out, const pass *weights, int mirrored) {
    for (int32_t y = 0; y < out->height; y++)
        for (int32_t x = 0; x < out->width; x++)
            for (int32_t c = 0; c < in->channels; c++) {
                int32_t sum = 0;
                for (int32_t k = 0; k < weights->count[y]; k++)
                    sum += weights->weights[(size_t)y * weights->taps + k] *
                           in->data[(weights->start[y] + k) * in->row + x * in->pixel + c];
                out->data[(mirrored ? out->height - 1 - y : y) * out->row + x * out->pixel + c] = rounded(sum);
            }
}

int NAME(resize)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_resize *resize = (const augreg_resize *)op;
    pass across = {0}, down = {0};
    int status = prepare(&across, in->width, resize->width, resize->left, resize->box_width, resize->filter);
    if (status == AUGREG_OK)
        status = prepare(&down, in->height, resize->height, resize->top, resize->box_height, resize->filter);
    int rows_first = resize->height < in->height &&
                     (int64_t)in->height - resize->height > 2 * ((int64_t)in->width - resize->width);
    augreg_image between = *out;
    between.height = rows_first ? out->height : in->height;
    between.width = rows_first ? in->width : out->width;
    between.row = between.pixel * between.width;
    between.data = status == AUGREG_OK ? malloc((size_t)between.row * between.height) : NULL;
    if (between.data == NULL) {
        status = AUGREG_NO_MEMORY;
    } else if (rows_first) {
        rows(in, &between, &down, resize->flip_y);
        columns(&between, out, &across, resize->flip_x);
    } else {
        columns(in, &between, &across, resize->flip_x);
        rows(&between, out, &down, resize->flip_y);
    }
    free(between.data);
    release(&across);
    release(&down);
    return status;
}
