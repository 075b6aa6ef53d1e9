/* Borders and boxes of one color. */

#include "kernels.h"

#include <string.h>

/* Fill `count` pixels of a row with a color. */
static void fill_bytes(uint8_t *to, int32_t count, int32_t channels, const uint8_t *fill) {
    size_t done = (size_t)channels, total = (size_t)count * channels;
    if (count < 1) return;
    memcpy(to, fill, done);
    while (done < total) { /* double what is there */
        size_t more = done < total - done ? done : total - done;
        memcpy(to + done, to, more);
        done += more;
    }
}

static void fill_floats(float *to, int32_t count, float value) {
    for (int32_t x = 0; x < count; x++) to[x] = value;
}

/* Fill `count` pixels of a row of a packed image, in all its planes. */
static void fill_row(const augreg_image *image, int32_t y, int32_t x, int32_t count, const uint8_t *fill,
                     const float *float_fill) {
    uint8_t *to = image->data + y * image->row + x * image->pixel;
    if (!image->floats) {
        fill_bytes(to, count, image->channels, fill);
        return;
    }
    for (int32_t c = 0; c < image->channels; c++) fill_floats((float *)(to + c * image->channel), count, float_fill[c]);
}

int NAME(pad)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_pad *pad = (const augreg_pad *)op;
    augreg_image inside = *out;
    inside.data += pad->top * out->row + pad->left * out->pixel;
    inside.height = in->height;
    inside.width = in->width;
    NAME(copy)(in, &inside);
    for (int32_t y = 0; y < out->height; y++) {
        if (y < pad->top || y >= pad->top + in->height) {
            fill_row(out, y, 0, out->width, pad->fill, pad->float_fill);
        } else {
            fill_row(out, y, 0, pad->left, pad->fill, pad->float_fill);
            fill_row(out, y, pad->left + in->width, pad->right, pad->fill, pad->float_fill);
        }
    }
    return AUGREG_OK;
}

int NAME(paint)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_paint *paint = (const augreg_paint *)op;
    if (in->data != out->data) NAME(copy)(in, out);
    for (int32_t y = paint->top; y < paint->top + paint->height; y++)
        fill_row(out, y, paint->left, paint->width, paint->fill, paint->float_fill);
    return AUGREG_OK;
}
