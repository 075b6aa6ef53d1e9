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

/* Where the pixel `distance` beyond the end of a side comes from, in pixels from that end. */
static int32_t inward(int32_t mode, int32_t distance) {
    return mode == AUGREG_EDGE ? 0 : mode == AUGREG_REFLECT ? distance : distance - 1;
}

/* A border of the image's own pixels around the image, which is there already: columns first, then whole rows. */
static void repeat(const augreg_pad *pad, const augreg_image *in, const augreg_image *out) {
    const size_t pixel = (size_t)out->pixel, row = (size_t)out->width * pixel;
    for (int32_t c = 0; c < (out->floats ? out->channels : 1); c++) {
        uint8_t *plane = out->data + c * out->channel;
        for (int32_t y = pad->top; y < pad->top + in->height; y++) {
            uint8_t *first = plane + y * out->row + pad->left * out->pixel, *last = first + (in->width - 1) * out->pixel;
            for (int32_t x = 1; x <= pad->left; x++)
                memcpy(first - x * out->pixel, first + inward(pad->mode, x) * out->pixel, pixel);
            for (int32_t x = 1; x <= pad->right; x++)
                memcpy(last + x * out->pixel, last - inward(pad->mode, x) * out->pixel, pixel);
        }
        uint8_t *first = plane + pad->top * out->row, *last = first + (in->height - 1) * out->row;
        for (int32_t y = 1; y <= pad->top; y++) memcpy(first - y * out->row, first + inward(pad->mode, y) * out->row, row);
        for (int32_t y = 1; y <= pad->bottom; y++) memcpy(last + y * out->row, last - inward(pad->mode, y) * out->row, row);
    }
}

int NAME(pad)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_pad *pad = (const augreg_pad *)op;
    augreg_image inside = *out;
    inside.data += pad->top * out->row + pad->left * out->pixel;
    inside.height = in->height;
    inside.width = in->width;
    NAME(copy)(in, &inside);
    if (pad->mode != AUGREG_CONSTANT) {
        repeat(pad, in, out);
        return AUGREG_OK;
    }
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
