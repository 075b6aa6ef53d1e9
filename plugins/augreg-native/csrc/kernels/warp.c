/* Images read through an affine or projective map, with the bytes of Pillow.

   Pillow computes positions in double precision, or for a nearest affine map in 16.16 fixed point; a pixel whose position
   is outside of the image gets the fill. The same sums are made here in the same order, a piece of a row at a time. */

#include "warp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Copy one pixel; a constant number of channels makes it one or two moves. */
static inline void copy_pixel(uint8_t *to, const uint8_t *from, int32_t channels) { memcpy(to, from, (size_t)channels); }

void NAME(fill_pixels)(uint8_t *to, int32_t count, const uint8_t *fill, int32_t channels) {
    int same = 1;
    for (int32_t c = 1; c < channels; c++) same &= fill[c] == fill[0];
    if (same) {
        if (count > 0) memset(to, fill[0], (size_t)count * (size_t)channels);
        return;
    }
    for (int32_t x = 0; x < count; x++) copy_pixel(to + (ptrdiff_t)x * channels, fill, channels);
}

/* ---- nearest, without rotation: every row reads the same columns ---- */

/* The number as Pillow rounds a position down to a pixel: -1 for what lies outside of 0 .. size - 1. */
static int32_t pixel_at(double position, int32_t size) {
    return position >= 0.0 && position < size ? (int32_t)position : -1;
}

static inline __attribute__((always_inline)) int scaled(const augreg_warp *warp, const augreg_image *in,
                                                        const augreg_image *out, int32_t *columns, const int32_t channels) {
    const double *a = warp->matrix;
    int32_t before = -1, first = out->width, end = 0, straight = 1;
    double place = a[2] + a[0] * 0.5;
    for (int32_t x = 0; x < out->width; x++, place += a[0]) { /* a sum, as in Pillow, not a product */
        columns[x] = pixel_at(place, in->width);
        if (columns[x] < 0) continue;
        if (first > x) first = x;
        end = x + 1;
        straight &= columns[x] - columns[first] == x - first;
    }
    if (first > end) first = end;
    place = a[5] + a[4] * 0.5;
    for (int32_t y = 0; y < out->height; y++, place += a[4]) {
        uint8_t *to = out->data + y * out->row;
        int32_t row = pixel_at(place, in->height);
        if (row < 0) {
            NAME(fill_pixels)(to, out->width, warp->fill, channels);
            continue;
        }
        if (row == before) { /* as the row above it */
            memcpy(to, to - out->row, (size_t)out->width * (size_t)channels);
            continue;
        }
        before = row;
        const uint8_t *from = in->data + row * in->row;
        NAME(fill_pixels)(to, first, warp->fill, channels);
        if (straight && end > first) {
            memcpy(to + (ptrdiff_t)first * channels, from + (ptrdiff_t)columns[first] * channels,
                   (size_t)(end - first) * (size_t)channels);
        } else {
            for (int32_t x = first; x < end; x++)
                copy_pixel(to + (ptrdiff_t)x * channels, from + (ptrdiff_t)columns[x] * channels, channels);
        }
        NAME(fill_pixels)(to + (ptrdiff_t)end * channels, out->width - end, warp->fill, channels);
    }
    return AUGREG_OK;
}

/* ---- nearest, affine: fixed point ---- */

static int64_t fixed(double value) { return (int64_t)floor(value * 65536.0 + 0.5); }

static int64_t floor_divided(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

/* Narrow first .. end to where start + x * step lies from 0 to before limit. */
static void narrow(int64_t start, int64_t step, int64_t limit, int32_t *first, int32_t *end) {
    int64_t low, high;
    if (step == 0) {
        if (start < 0 || start >= limit) *end = *first;
        return;
    }
    if (step > 0) {
        low = -floor_divided(start, step);
        high = -floor_divided(start - limit, step);
    } else {
        low = floor_divided(limit - start, step) + 1;
        high = floor_divided(-start, step) + 1;
    }
    if (low > *first) *first = low < *end ? (int32_t)low : *end;
    if (high < *end) *end = high > *first ? (int32_t)high : *first;
}

static inline __attribute__((always_inline)) void fixed_row(const augreg_image *in, uint8_t *to, int32_t count, int64_t xx,
                                                            int64_t yy, int64_t step_x, int64_t step_y, int32_t channels) {
    const uint8_t *data = in->data;
    ptrdiff_t row = in->row;
    int64_t last_y = yy + step_y * (count - 1);
    int32_t x = 0;
    /* three channels as four bytes, where the next pixel is written after, and none is the last in memory: that is in the last
       row, or in the first one if rows go upward */
    if (channels == 3 && (yy > last_y ? yy : last_y) >> 16 < in->height - 1 && (yy < last_y ? yy : last_y) >> 16 > 0) {
        for (; x < count - 1; x++, xx += step_x, yy += step_y)
            memcpy(to + 3 * (ptrdiff_t)x, data + (yy >> 16) * row + (xx >> 16) * 3, 4);
    }
    for (; x < count; x++, xx += step_x, yy += step_y)
        copy_pixel(to + (ptrdiff_t)x * channels, data + (yy >> 16) * row + (xx >> 16) * channels, channels);
}

static int turned(const augreg_warp *warp, const augreg_image *in, const augreg_image *out) {
    const double *a = warp->matrix;
    for (int32_t corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? out->width : 0, y = corner & 2 ? out->height : 0;
        /* so that no sum below overflows 32 bits, where Pillow computes in another way */
        if (!(fabs(x * a[0] + y * a[1] + a[2]) < 32767.0 && fabs(x * a[3] + y * a[4] + a[5]) < 32767.0))
            return AUGREG_BAD_PROGRAM;
    }
    int64_t a0 = fixed(a[0]), a1 = fixed(a[1]), a3 = fixed(a[3]), a4 = fixed(a[4]);
    int64_t x0 = fixed(a[2] + a[0] * 0.5 + a[1] * 0.5), y0 = fixed(a[5] + a[3] * 0.5 + a[4] * 0.5);
    int32_t channels = in->channels;
    for (int32_t y = 0; y < out->height; y++, x0 += a1, y0 += a4) {
        int32_t first = 0, end = out->width;
        narrow(x0, a0, (int64_t)in->width << 16, &first, &end);
        narrow(y0, a3, (int64_t)in->height << 16, &first, &end);
        uint8_t *row = out->data + y * out->row, *to = row + (ptrdiff_t)first * channels;
        NAME(fill_pixels)(row, first, warp->fill, channels);
        int64_t xx = x0 + first * a0, yy = y0 + first * a3;
        switch (channels) {
            case 1: fixed_row(in, to, end - first, xx, yy, a0, a3, 1); break;
            case 2: fixed_row(in, to, end - first, xx, yy, a0, a3, 2); break;
            case 3: fixed_row(in, to, end - first, xx, yy, a0, a3, 3); break;
            default: fixed_row(in, to, end - first, xx, yy, a0, a3, 4);
        }
        NAME(fill_pixels)(row + (ptrdiff_t)end * channels, out->width - end, warp->fill, channels);
    }
    return AUGREG_OK;
}

/* ---- positions in double precision ---- */

static void locate(const augreg_warp *warp, int32_t x0, int32_t y, int32_t count, augreg_positions *found) {
    const double *a = warp->matrix;
    double down = y + 0.5, bx = a[1] * down, by = a[4] * down;
    double a0 = a[0], a2 = a[2], a3 = a[3], a5 = a[5];
    double *restrict xs = found->x, *restrict ys = found->y;
    if (warp->affine) {
        for (int32_t i = 0; i < count; i++) {
            double across = x0 + i + 0.5;
            xs[i] = a0 * across + bx + a2;
            ys[i] = a3 * across + by + a5;
        }
        return;
    }
    double a6 = a[6], bw = a[7] * down;
    for (int32_t i = 0; i < count; i++) {
        double across = x0 + i + 0.5, depth = a6 * across + bw + 1.0;
        xs[i] = (a0 * across + bx + a2) / depth;
        ys[i] = (a3 * across + by + a5) / depth;
    }
}

static inline __attribute__((always_inline)) void nearest_piece(const augreg_warp *warp, const augreg_image *in,
                                                                const augreg_positions *at, int32_t count, uint8_t *to,
                                                                int32_t channels) {
    int32_t columns[AUGREG_PIECE], rows[AUGREG_PIECE];
    double width = in->width, height = in->height;
    for (int32_t i = 0; i < count; i++) {
        double x = at->x[i], y = at->y[i];
        int inside = (x >= 0.0) & (x < width) & (y >= 0.0) & (y < height);
        columns[i] = (int32_t)(inside ? x : 0.0);
        rows[i] = inside ? (int32_t)(inside ? y : 0.0) : -1;
    }
    for (int32_t i = 0; i < count; i++) {
        const uint8_t *from = in->data + rows[i] * in->row + (ptrdiff_t)columns[i] * channels;
        copy_pixel(to + (ptrdiff_t)i * channels, rows[i] < 0 ? warp->fill : from, channels);
    }
}

/* The two pixels from `from` on, 2 x channels bytes, as one number. */
static inline uint64_t pair(const uint8_t *from, int32_t channels) {
    uint16_t two;
    uint32_t four, last;
    uint64_t eight;
    switch (channels) {
        case 1: memcpy(&two, from, 2); return two;
        case 2: memcpy(&four, from, 4); return four;
        case 3: /* the two in the middle are read twice: nothing beyond the six may be read */
            memcpy(&four, from, 4);
            memcpy(&last, from + 2, 4);
            return four | (uint64_t)last << 16;
        default: memcpy(&eight, from, 8); return eight;
    }
}

static inline __attribute__((always_inline)) void bilinear_piece(const augreg_warp *warp, const augreg_image *in,
                                                                 const augreg_positions *at, int32_t count, uint8_t *to,
                                                                 int32_t channels) {
    double across[AUGREG_PIECE], down[AUGREG_PIECE];
    ptrdiff_t row = in->row;
    int32_t above[AUGREG_PIECE], below[AUGREG_PIECE], columns[AUGREG_PIECE], inside[AUGREG_PIECE], planes[AUGREG_MOST_CHANNELS][AUGREG_PIECE];
    uint64_t upper[AUGREG_PIECE], lower[AUGREG_PIECE];
    double width = in->width, height = in->height, last = in->width - 2, bottom = in->height - 1;
    for (int32_t i = 0; i < count; i++) {
        double x = at->x[i], y = at->y[i];
        int within = (x >= 0.0) & (x < width) & (y >= 0.0) & (y < height);
        x = (within ? x : 0.5) - 0.5;
        y = (within ? y : 0.5) - 0.5;
        double left = floor(x), top = floor(y), right = x - left;
        /* the first and the last column are repeated: all of the first pixel of a pair, or all of the second */
        right = left < 0.0 ? 0.0 : left > last ? 1.0 : right;
        left = left < 0.0 ? 0.0 : left > last ? last : left;
        across[i] = right;
        down[i] = y - top;
        double next = top < bottom ? top + 1.0 : bottom;
        top = top < 0.0 ? 0.0 : top;
        columns[i] = (int32_t)left * channels;
        above[i] = (int32_t)top;
        below[i] = (int32_t)next;
        inside[i] = within;
    }
    for (int32_t i = 0; i < count; i++) {
        const uint8_t *column = in->data + columns[i];
        upper[i] = pair(column + above[i] * row, channels);
        lower[i] = pair(column + below[i] * row, channels);
    }
    for (int32_t c = 0; c < channels; c++) {
        uint8_t fill = warp->fill[c];
        int32_t first = 8 * c, second = 8 * (c + channels);
        for (int32_t i = 0; i < count; i++) {
            int32_t a = (int32_t)(upper[i] >> first) & 255, b = (int32_t)(upper[i] >> second) & 255;
            int32_t d = (int32_t)(lower[i] >> first) & 255, e = (int32_t)(lower[i] >> second) & 255;
            double v = a + (b - a) * across[i], w = d + (e - d) * across[i];
            int32_t found = (int32_t)(v + (w - v) * down[i]);
            planes[c][i] = inside[i] ? found : fill;
        }
    }
    for (int32_t i = 0; i < count; i++)
        for (int32_t c = 0; c < channels; c++) to[(ptrdiff_t)i * channels + c] = (uint8_t)planes[c][i];
}

static inline __attribute__((always_inline)) void general(const augreg_warp *warp, const augreg_image *in,
                                                          const augreg_image *out, int32_t channels) {
    augreg_positions at;
    for (int32_t y = 0; y < out->height; y++) {
        for (int32_t x = 0; x < out->width; x += AUGREG_PIECE) {
            int32_t count = out->width - x < AUGREG_PIECE ? out->width - x : AUGREG_PIECE;
            uint8_t *to = out->data + y * out->row + (ptrdiff_t)x * channels;
            locate(warp, x, y, count, &at);
            if (warp->sampling == AUGREG_SAMPLE_BILINEAR)
                bilinear_piece(warp, in, &at, count, to, channels);
            else if (warp->sampling == AUGREG_SAMPLE_BICUBIC)
                NAME(cubic)(warp, in, &at, count, to);
            else
                nearest_piece(warp, in, &at, count, to, channels);
        }
    }
}

int NAME(warp)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_warp *warp = (const augreg_warp *)op;
    const int straight = warp->affine && warp->matrix[1] == 0.0 && warp->matrix[3] == 0.0;
    if (straight && warp->sampling == AUGREG_SAMPLE_BILINEAR) return NAME(straight)(warp, in, out);
    if (warp->affine && warp->sampling == AUGREG_SAMPLE_NEAREST) {
        if (!straight) return turned(warp, in, out);
        int32_t *columns = malloc((size_t)out->width * sizeof *columns);
        if (columns == NULL) return AUGREG_NO_MEMORY;
        int status;
        switch (in->channels) {
            case 1: status = scaled(warp, in, out, columns, 1); break;
            case 2: status = scaled(warp, in, out, columns, 2); break;
            case 3: status = scaled(warp, in, out, columns, 3); break;
            default: status = scaled(warp, in, out, columns, 4);
        }
        free(columns);
        return status;
    }
    switch (in->channels) {
        case 1: general(warp, in, out, 1); break;
        case 2: general(warp, in, out, 2); break;
        case 3: general(warp, in, out, 3); break;
        default: general(warp, in, out, 4);
    }
    return AUGREG_OK;
}
