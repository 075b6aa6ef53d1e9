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

/* Fill a box of a packed image, in all its planes. */
static void fill_box(const augreg_image *image, int32_t top, int32_t left, int32_t height, int32_t width, const uint8_t *fill,
                     const float *float_fill) {
    const size_t bytes = (size_t)width * (size_t)image->pixel;
    if (height < 1 || width < 1) return;
    for (int32_t c = 0; c < (image->floats ? image->channels : 1); c++) {
        uint8_t *first = image->data + c * image->channel + top * image->row + left * image->pixel;
        if (image->floats)
            fill_floats((float *)first, width, float_fill[c]);
        else
            fill_bytes(first, width, image->channels, fill);
        for (int32_t y = 1; y < height; y++) memcpy(first + y * image->row, first, bytes);
    }
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
    const int32_t bottom = pad->top + in->height, right = pad->left + in->width;
    fill_box(out, 0, 0, pad->top, out->width, pad->fill, pad->float_fill);
    fill_box(out, pad->top, 0, in->height, pad->left, pad->fill, pad->float_fill);
    fill_box(out, pad->top, right, in->height, pad->right, pad->fill, pad->float_fill);
    fill_box(out, bottom, 0, pad->bottom, out->width, pad->fill, pad->float_fill);
    return AUGREG_OK;
}

int NAME(paint)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_paint *paint = (const augreg_paint *)op;
    if (in->data != out->data) NAME(copy)(in, out);
    fill_box(out, paint->top, paint->left, paint->height, paint->width, paint->fill, paint->float_fill);
    return AUGREG_OK;
}
