/* Bicubic values between pixels, with the bytes of Pillow: a cubic through four pixels in each of four rows, and one through the
   four results, in double precision; truncated. Edges are repeated. */

#include "warp.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64, AROUND = 4 };

/* The pixels around each position, a byte for each channel, and the place between the second and the third of them. */
typedef struct {
    uint32_t pixels[AROUND][AROUND][BLOCK];
    double across[BLOCK], down[BLOCK];
    int32_t inside[BLOCK];
} neighbors;

static inline int32_t clamped(int32_t i, int32_t size) { return i < 0 ? 0 : i < size ? i : size - 1; }

/* Four pixels of a row, of which the first is `left`. */
static inline void read_four(const uint8_t *row, int32_t left, int32_t width, int32_t channels, uint32_t *found, size_t step) {
    if (channels == 3 && left >= 0 && left + AROUND <= width) { /* just their twelve bytes */
        uint64_t eight;
        uint32_t four;
        memcpy(&eight, row + 3 * (ptrdiff_t)left, 8);
        memcpy(&four, row + 3 * (ptrdiff_t)left + 8, 4);
        found[0] = (uint32_t)eight;
        found[step] = (uint32_t)(eight >> 24);
        found[2 * step] = (uint32_t)(eight >> 48) | four << 16;
        found[3 * step] = four >> 8;
        return;
    }
    for (int32_t k = 0; k < AROUND; k++) {
        const uint8_t *from = row + (ptrdiff_t)clamped(left + k, width) * channels;
        uint32_t pixel = 0;
        for (int32_t c = 0; c < channels; c++) pixel |= (uint32_t)from[c] << 8 * c;
        found[(size_t)k * step] = pixel;
    }
}

static void find(const augreg_image *in, const double *xs, const double *ys, int32_t count, neighbors *found) {
    int32_t columns[BLOCK], rows[BLOCK];
    double width = in->width, height = in->height;
    for (int32_t i = 0; i < count; i++) {
        double x = xs[i], y = ys[i];
        int within = (x >= 0.0) & (x < width) & (y >= 0.0) & (y < height);
        x = (within ? x : 2.0) - 0.5; /* outside any pixel will do, but none at the edge, which takes longer */
        y = (within ? y : 2.0) - 0.5;
        double left = floor(x), top = floor(y);
        found->across[i] = x - left;
        found->down[i] = y - top;
        found->inside[i] = within;
        columns[i] = (int32_t)left - 1;
        rows[i] = (int32_t)top - 1;
    }
    for (int32_t i = 0; i < count; i++)
        for (int32_t k = 0; k < AROUND; k++)
            read_four(in->data + clamped(rows[i] + k, in->height) * in->row, columns[i], in->width, in->channels,
                      &found->pixels[k][0][i], BLOCK);
}

/* One row of four pixels; the differences are whole numbers. */
static void along(const uint32_t (*restrict pixels)[BLOCK], const double *restrict across, int32_t shift,
                  double *restrict found) {
    for (int32_t i = 0; i < BLOCK; i++) {
        int32_t a = pixels[0][i] >> shift & 255, b = pixels[1][i] >> shift & 255;
        int32_t c = pixels[2][i] >> shift & 255, d = pixels[3][i] >> shift & 255;
        double t = across[i];
        found[i] = b + t * ((c - a) + t * ((2 * (a - b) + c - d) + t * (b - a - c + d)));
    }
}

static void across_rows(const double (*restrict rows)[BLOCK], const double *restrict down, int32_t *restrict found) {
    for (int32_t i = 0; i < BLOCK; i++) {
        double a = rows[0][i], b = rows[1][i], c = rows[2][i], d = rows[3][i], t = down[i];
        double value = b + t * ((-a + c) + t * ((2 * (a - b) + c - d) + t * (-a + b - c + d)));
        value = value > 0.0 ? value : 0.0;
        found[i] = (int32_t)(value < 255.0 ? value : 255.0);
    }
}

void NAME(cubic)(const augreg_warp *warp, const augreg_image *in, const augreg_positions *at, int32_t count, uint8_t *to) {
    neighbors around;
    double rows[AROUND][BLOCK];
    int32_t values[BLOCK], channels = in->channels;
    memset(&around, 0, sizeof around); /* blocks are computed whole */
    for (int32_t first = 0; first < count; first += BLOCK, to += (ptrdiff_t)BLOCK * channels) {
        int32_t some = count - first < BLOCK ? count - first : BLOCK;
        find(in, at->x + first, at->y + first, some, &around);
        for (int32_t c = 0; c < channels; c++) {
            int32_t fill = warp->fill[c];
            for (int32_t k = 0; k < AROUND; k++)
                along((const uint32_t (*)[BLOCK])around.pixels[k], around.across, 8 * c, rows[k]);
            across_rows((const double (*)[BLOCK])rows, around.down, values);
            for (int32_t i = 0; i < some; i++) {
                int32_t inside = around.inside[i];
                to[(ptrdiff_t)i * channels + c] = (uint8_t)((values[i] & -inside) | (fill & (inside - 1)));
            }
        }
    }
}
