/* Bilinear images of affine maps that keep rows and columns straight, such as a resize that is not antialiased.

   Every row reads the same columns with the same weights, so a row of the input is interpolated once, for all rows of the result
   that lie beside it. The sums are those of warp.c, in double precision. */

#include "warp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32, WINDOW = 128 }; /* bytes that are picked at once, and how far apart in the input they may be */

/* Where the values of a row come from: `values` of them, those of the pixels of the result from `first` on. The left neighbor of
   each pixel is at `offsets`, the right one after it. A block of values is picked from the bytes from `begins` on by `picks`, first
   the left and then the right neighbors; `picks` is NULL where they are too far apart. */
typedef struct {
    int32_t first, pixels, channels, bytes;
    size_t values;
    int32_t *offsets, *begins;
    double *across;
    uint8_t *left, *right, *picks;
} columns;

/* The position as the first of two neighbors, and how far it is from it to the second; `place` is within 0 and size. */
static double neighbor(double place, double *part) {
    const double from = place - 0.5, first = floor(from);
    *part = from - first;
    return first;
}

static int within(double place, int32_t size) { return place >= 0.0 && place < size; }

static void find_columns(const augreg_warp *warp, const augreg_image *in, columns *found) {
    const double last = in->width - 2;
    int32_t pixels = 0;
    for (int32_t x = 0; x < warp->width; x++) {
        const double place = warp->matrix[0] * (x + 0.5) + warp->matrix[2];
        if (!within(place, in->width)) {
            if (pixels > 0) break;
            continue;
        }
        if (pixels == 0) found->first = x;
        double right, left = neighbor(place, &right);
        /* beyond the first and the last center, all of the first pixel of a pair, or all of the second */
        right = left < 0.0 ? 0.0 : left > last ? 1.0 : right;
        left = left < 0.0 ? 0.0 : left > last ? last : left;
        found->offsets[pixels] = (int32_t)left * in->channels;
        for (int32_t c = 0; c < in->channels; c++) found->across[(ptrdiff_t)pixels * in->channels + c] = right;
        pixels++;
    }
    found->pixels = pixels;
    found->channels = in->channels;
    found->bytes = in->width * in->channels;
    found->values = (size_t)pixels * (size_t)in->channels;
}

#if defined(__AVX512VBMI__)

/* Returns whether every block can be picked. */
static int find_picks(columns *found) {
    const int32_t channels = found->channels;
    for (size_t start = 0; start < found->values; start += BLOCK) {
        const size_t count = found->values - start < BLOCK ? found->values - start : BLOCK;
        int32_t low = found->bytes, high = 0, offsets[BLOCK];
        for (size_t i = 0; i < count; i++) {
            const size_t value = start + i;
            offsets[i] = found->offsets[value / (size_t)channels] + (int32_t)(value % (size_t)channels);
            low = offsets[i] < low ? offsets[i] : low;
            high = offsets[i] > high ? offsets[i] : high;
        }
        if (high + channels - low >= WINDOW) return 0;
        found->begins[start / BLOCK] = low;
        for (size_t i = 0; i < count; i++) {
            found->picks[2 * start + i] = (uint8_t)(offsets[i] - low);
            found->picks[2 * start + BLOCK + i] = (uint8_t)(offsets[i] - low + channels);
        }
    }
    return 1;
}

static __mmask64 first_bytes(int32_t count) {
    return count >= 64 ? ~(__mmask64)0 : count > 0 ? ((__mmask64)1 << count) - 1 : 0;
}

static void pick(const columns *from, const uint8_t *row) {
    for (size_t start = 0; start < from->values; start += BLOCK) {
        const int32_t begin = from->begins[start / BLOCK];
        const __m512i low = _mm512_maskz_loadu_epi8(first_bytes(from->bytes - begin), row + begin);
        const __m512i high = _mm512_maskz_loadu_epi8(first_bytes(from->bytes - begin - 64), row + begin + 64);
        const __m512i found = _mm512_permutex2var_epi8(low, _mm512_loadu_si512(from->picks + 2 * start), high);
        _mm256_storeu_si256((__m256i *)(from->left + start), _mm512_castsi512_si256(found));
        _mm256_storeu_si256((__m256i *)(from->right + start), _mm512_extracti64x4_epi64(found, 1));
    }
}

#else

static int find_picks(columns *found) { return (void)found, 0; }
static void pick(const columns *from, const uint8_t *row) { (void)from, (void)row; }

#endif

static inline __attribute__((always_inline)) void copy_neighbors(const columns *from, const uint8_t *row, const int32_t channels) {
    for (int32_t x = 0; x < from->pixels; x++) {
        const uint8_t *pair = row + from->offsets[x];
        memcpy(from->left + (ptrdiff_t)x * channels, pair, (size_t)channels);
        memcpy(from->right + (ptrdiff_t)x * channels, pair + channels, (size_t)channels);
    }
}

static __attribute__((noinline)) void mix_columns(const uint8_t *restrict left, const uint8_t *restrict right,
                                                  const double *restrict across, size_t count, double *restrict to) {
    for (size_t i = 0; i < count; i++) to[i] = left[i] + (right[i] - left[i]) * across[i];
}

static __attribute__((noinline)) void mix_rows(const double *restrict above, const double *restrict below, double down,
                                               size_t count, uint8_t *restrict to) {
    for (size_t i = 0; i < count; i++) to[i] = (uint8_t)(int32_t)(above[i] + (below[i] - above[i]) * down);
}

static void interpolate(const columns *from, const uint8_t *row, double *to) {
    if (from->picks != NULL) {
        pick(from, row);
    } else {
        switch (from->channels) {
            case 1: copy_neighbors(from, row, 1); break;
            case 2: copy_neighbors(from, row, 2); break;
            case 3: copy_neighbors(from, row, 3); break;
            default: copy_neighbors(from, row, 4);
        }
    }
    mix_columns(from->left, from->right, from->across, from->values, to);
}

static void make(const augreg_warp *warp, const augreg_image *in, const augreg_image *out, const columns *from,
                 double *rows[2]) {
    const int32_t channels = in->channels, last = from->first + from->pixels;
    int32_t held[2] = {-1, -1}; /* the rows of the input that are in `rows` */
    for (int32_t y = 0; y < out->height; y++) {
        uint8_t *to = out->data + y * out->row;
        const double place = warp->matrix[4] * (y + 0.5) + warp->matrix[5];
        if (!within(place, in->height) || from->pixels == 0) {
            NAME(fill_pixels)(to, out->width, warp->fill, channels);
            continue;
        }
        double down;
        const int32_t top = (int32_t)neighbor(place, &down), first = top < 0 ? 0 : top;
        const int32_t second = top + 1 < in->height ? top + 1 : top;
        const int above = held[1] == first || (held[0] != first && held[0] == second);
        if (held[above] != first) {
            interpolate(from, in->data + first * in->row, rows[above]);
            held[above] = first;
        }
        const int below = second == first ? above : !above;
        if (held[below] != second) {
            interpolate(from, in->data + second * in->row, rows[below]);
            held[below] = second;
        }
        NAME(fill_pixels)(to, from->first, warp->fill, channels);
        mix_rows(rows[above], rows[below], down, from->values, to + (ptrdiff_t)from->first * channels);
        NAME(fill_pixels)(to + (ptrdiff_t)last * channels, out->width - last, warp->fill, channels);
    }
}

int NAME(straight)(const augreg_warp *warp, const augreg_image *in, const augreg_image *out) {
    const size_t values = (size_t)out->width * (size_t)in->channels, blocks = values / BLOCK + 1;
    columns from = {0};
    from.offsets = malloc((size_t)out->width * sizeof *from.offsets);
    from.begins = malloc(blocks * sizeof *from.begins);
    from.across = malloc(3 * values * sizeof *from.across);
    from.left = calloc(4 * blocks, BLOCK);
    int status = AUGREG_NO_MEMORY;
    if (from.offsets != NULL && from.begins != NULL && from.across != NULL && from.left != NULL) {
        double *rows[2] = {from.across + values, from.across + 2 * values};
        from.right = from.left + blocks * BLOCK;
        from.picks = from.right + blocks * BLOCK;
        find_columns(warp, in, &from);
        if (!find_picks(&from)) from.picks = NULL;
        make(warp, in, out, &from, rows);
        status = AUGREG_OK;
    }
    free(from.offsets);
    free(from.begins);
    free(from.across);
    free(from.left);
    return status;
}
