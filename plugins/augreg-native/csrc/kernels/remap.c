/* Images read at positions of a field, or between the lines of a grid: the nearest pixel, or four of them mixed in single
   precision in the order of the core. Positions outside get the fill. */

#include "floats.h"
#include "kernels.h"

#include <math.h>
#include <string.h>

enum { PIECE = 256 };

typedef struct {
    int32_t rows[PIECE], columns[PIECE], outside[PIECE];
} places;

/* A position as a whole number from 0 to size - 1. */
static inline float within(float position, float size) {
    float whole = floorf(position);
    whole = whole > 0.0f ? whole : 0.0f;
    return whole < size - 1.0f ? whole : size - 1.0f;
}

static void nearest(const uint8_t *fill, const augreg_image *in, const float *restrict ys, const float *restrict xs,
                    int32_t count, uint8_t *to) {
    places at;
    float height = (float)in->height, width = (float)in->width;
    int32_t channels = in->channels;
    for (int32_t i = 0; i < count; i++) {
        float y = ys[i], x = xs[i];
        at.rows[i] = (int32_t)within(y, height);
        at.columns[i] = (int32_t)within(x, width);
        at.outside[i] = (y < 0.0f) | (y >= height) | (x < 0.0f) | (x >= width);
    }
    for (int32_t i = 0; i < count; i++) {
        const uint8_t *from = in->data + at.rows[i] * in->row + (ptrdiff_t)at.columns[i] * channels;
        memcpy(to + (ptrdiff_t)i * channels, at.outside[i] ? fill : from, (size_t)channels);
    }
}

/* The two pixels from `from` on, a byte for each channel. Nothing beyond them is read. */
static inline void read_pair(const uint8_t *from, const int32_t channels, uint32_t *left, uint32_t *right) {
    *left = *right = 0;
    if (channels == 3) { /* four bytes each, one of them of the other pixel */
        memcpy(left, from, 4);
        memcpy(right, from + 2, 4);
        *right >>= 8;
    } else {
        memcpy(left, from, (size_t)channels);
        memcpy(right, from + channels, (size_t)channels);
    }
}

static inline __attribute__((always_inline)) void bilinear(const uint8_t *fill, const augreg_image *in,
                                                           const float *restrict ys, const float *restrict xs, int32_t count,
                                                           uint8_t *to, const int32_t channels) {
    places upper;
    int32_t lower_rows[PIECE], first[PIECE], last[PIECE], planes[AUGREG_MOST_CHANNELS][PIECE];
    uint32_t a[PIECE], b[PIECE], d[PIECE], e[PIECE];
    float down[PIECE], right[PIECE], height = (float)in->height, width = (float)in->width;
    for (int32_t i = 0; i < count; i++) {
        float y = ys[i] - 0.5f, x = xs[i] - 0.5f, top = floorf(y), left = floorf(x);
        down[i] = y - top;
        right[i] = x - left;
        upper.rows[i] = (int32_t)within(top, height);
        lower_rows[i] = (int32_t)within(top + 1.0f, height);
        upper.columns[i] = (int32_t)within(left, width - 1.0f);
        first[i] = left < 0.0f; /* beyond the edges both pixels are the same: the first of a pair, or the last */
        last[i] = left > width - 2.0f;
        upper.outside[i] = (ys[i] < 0.0f) | (ys[i] >= height) | (xs[i] < 0.0f) | (xs[i] >= width);
    }
    for (int32_t i = 0; i < count; i++) {
        const uint8_t *column = in->data + (ptrdiff_t)upper.columns[i] * channels;
        read_pair(column + upper.rows[i] * in->row, channels, &a[i], &b[i]);
        read_pair(column + lower_rows[i] * in->row, channels, &d[i], &e[i]);
    }
    for (int32_t i = 0; i < count; i++) {
        uint32_t left = a[i], other = d[i];
        a[i] = last[i] ? b[i] : left;
        b[i] = first[i] ? left : b[i];
        d[i] = last[i] ? e[i] : other;
        e[i] = first[i] ? other : e[i];
    }
    for (int32_t c = 0; c < channels; c++) {
        int32_t shift = 8 * c, outer = fill[c], *restrict plane = planes[c];
        for (int32_t i = 0; i < count; i++) {
            float p = (float)(int32_t)(a[i] >> shift & 255), q = (float)(int32_t)(b[i] >> shift & 255);
            float r = (float)(int32_t)(d[i] >> shift & 255), s = (float)(int32_t)(e[i] >> shift & 255);
            float above = p * (1.0f - right[i]) + q * right[i], below = r * (1.0f - right[i]) + s * right[i];
            float found = above * (1.0f - down[i]) + below * down[i];
            int32_t value = (int32_t)rounded(found);
            plane[i] = (value & (upper.outside[i] - 1)) | (outer & -upper.outside[i]);
        }
    }
    for (int32_t i = 0; i < count; i++)
        for (int32_t c = 0; c < channels; c++) to[(ptrdiff_t)i * channels + c] = (uint8_t)planes[c][i];
}

/* The next `count` pixels, at most a piece. */
static void read_piece(int mixed, const uint8_t *fill, const augreg_image *in, const float *ys, const float *xs, int32_t count,
                       uint8_t *to) {
    if (!mixed) {
        nearest(fill, in, ys, xs, count, to);
        return;
    }
    switch (in->channels) {
        case 1: bilinear(fill, in, ys, xs, count, to, 1); break;
        case 2: bilinear(fill, in, ys, xs, count, to, 2); break;
        case 3: bilinear(fill, in, ys, xs, count, to, 3); break;
        default: bilinear(fill, in, ys, xs, count, to, 4);
    }
}

int NAME(remap)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_remap *remap = (const augreg_remap *)op;
    const size_t pixels = (size_t)in->width * (size_t)in->height, channels = (size_t)in->channels;
    const float *field = (const float *)(remap + 1);
    for (size_t at = 0; at < pixels; at += PIECE) {
        const int32_t count = pixels - at < PIECE ? (int32_t)(pixels - at) : PIECE;
        read_piece(remap->bilinear, remap->fill, in, field + at, field + pixels + at, count, out->data + at * channels);
    }
    return AUGREG_OK;
}

/* Positions of pixels between two lines, `places` plus the shift in between. */
static __attribute__((noinline)) void shifted(double left, double right, const double *restrict parts,
                                              const float *restrict places, int32_t count, float *restrict to) {
    for (int32_t i = 0; i < count; i++) to[i] = places[i] + (float)(left * (1.0 - parts[i]) + right * parts[i]);
}

int NAME(grid)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_grid *grid = (const augreg_grid *)op;
    const int32_t width = in->width;
    const ptrdiff_t lines = grid->lines;
    const double *down = (const double *)(grid + 1), *across = down + in->height * lines, *parts = across + in->height * lines;
    const int32_t *cells = (const int32_t *)(parts + width);
    float rows[PIECE], columns[PIECE], ys[PIECE], xs[PIECE];
    for (int32_t x0 = 0; x0 < width; x0 += PIECE) {
        const int32_t count = width - x0 < PIECE ? width - x0 : PIECE;
        for (int32_t i = 0; i < count; i++) columns[i] = (float)(x0 + i) + 0.5f;
        for (int32_t y = 0; y < in->height; y++) {
            for (int32_t i = 0; i < count; i++) rows[i] = (float)y + 0.5f;
            for (int32_t i = 0, end; i < count; i = end) {
                const int32_t cell = cells[x0 + i];
                const double *above = down + y * lines + cell, *beside = across + y * lines + cell;
                for (end = i + 1; end < count && cells[x0 + end] == cell;) end++;
                shifted(above[0], above[1], parts + x0 + i, rows + i, end - i, ys + i);
                shifted(beside[0], beside[1], parts + x0 + i, columns + i, end - i, xs + i);
            }
            uint8_t *to = out->data + y * out->row + (ptrdiff_t)x0 * in->channels;
            read_piece(grid->bilinear, grid->fill, in, ys, xs, count, to);
        }
    }
    return AUGREG_OK;
}
