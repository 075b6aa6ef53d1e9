/* Copies of views: crops, flips, quarter turns, and planes of bytes that become pixels. */

#include "kernels.h"

#include <string.h>

enum { TILE = 32 }; /* a quarter turn reads columns: of so many rows at once, so that the bytes next to them are used */

/* Pixels of any strides, one by one. */
static void copy_pixels(const uint8_t *from, ptrdiff_t pixel, ptrdiff_t channel, uint8_t *to, int32_t width, int channels) {
    if (channels == 3) {
        for (int32_t x = 0; x < width; x++, from += pixel, to += 3) {
            to[0] = from[0];
            to[1] = from[channel];
            to[2] = from[2 * channel];
        }
        return;
    }
    for (int c = 0; c < channels; c++)
        for (int32_t x = 0; x < width; x++) to[(size_t)x * channels + c] = from[x * pixel + c * channel];
}

/* Three planes side by side, as pixels. */
static void copy_planes(const uint8_t *restrict from, ptrdiff_t channel, uint8_t *restrict to, int32_t width) {
    const uint8_t *restrict green = from + channel, *restrict blue = green + channel;
    for (int32_t x = 0; x < width; x++) {
        to[3 * (size_t)x] = from[x];
        to[3 * (size_t)x + 1] = green[x];
        to[3 * (size_t)x + 2] = blue[x];
    }
}

#if defined(__AVX512VBMI__)

/* The bytes of 21 pixels of three channels, the last pixel first, and those of 64 of one. */
static const uint8_t threes[64] = {
    60, 61, 62, 57, 58, 59, 54, 55, 56, 51, 52, 53, 48, 49, 50, 45, 46, 47, 42, 43, 44, 39, 40, 41,
    36, 37, 38, 33, 34, 35, 30, 31, 32, 27, 28, 29, 24, 25, 26, 21, 22, 23, 18, 19, 20, 15, 16, 17,
    12, 13, 14, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2, 63,
};
static const uint8_t ones[64] = {
    63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40,
    39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
    15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
};

#endif

/* A row of pixels in the opposite order; `from` is its last pixel in memory. */
static inline __attribute__((always_inline)) void mirrored(const uint8_t *from, uint8_t *to, int32_t width,
                                                           const int channels) {
    int32_t x = 0;
#if AUGREG_VECTORS
    static const char orders[5][16] = {
        {0},
        {15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
        {14, 15, 12, 13, 10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1},
        {12, 13, 14, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2, -1},
        {12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3},
    };
    const __m128i order = _mm_loadu_si128((const __m128i *)orders[channels]);
    const int32_t pixels = 16 / channels;
    if (channels == 3) /* a byte too much is read, of the pixel before, so the first pixel comes alone */
        for (; x < 1 && x < width; x++) memcpy(to, from, 3);
#if defined(__AVX512VBMI__)
    const __m512i all = channels == 3 ? _mm512_loadu_si512(threes)
                                      : _mm512_xor_si512(_mm512_loadu_si512(ones), _mm512_set1_epi8((char)(channels - 1)));
    for (; (int64_t)(width - x) * channels >= 64; x += 64 / channels) { /* and a byte too much is written */
        const uint8_t *lowest = from - ((ptrdiff_t)x + 64 / channels - 1) * channels;
        _mm512_storeu_si512(to + (size_t)x * channels, _mm512_permutexvar_epi8(all, _mm512_loadu_si512(lowest)));
    }
#endif
    /* and a byte too much is written, so 16 are left in the row */
    for (; (int64_t)x * channels + 16 <= (int64_t)width * channels; x += pixels) {
        const uint8_t *lowest = from - ((ptrdiff_t)x + pixels - 1) * channels;
        __m128i found = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)lowest), order);
        _mm_storeu_si128((__m128i *)(to + (size_t)x * channels), found);
    }
#endif
    for (; x < width; x++) memcpy(to + (size_t)x * channels, from - (ptrdiff_t)x * channels, channels);
}

static void copy_mirrored(const uint8_t *from, uint8_t *to, int32_t width, int channels) {
    switch (channels) {
        case 1: mirrored(from, to, width, 1); break;
        case 2: mirrored(from, to, width, 2); break;
        case 3: mirrored(from, to, width, 3); break;
        case 4: mirrored(from, to, width, 4); break;
    }
}

static void copy_floats(const uint8_t *from, ptrdiff_t pixel, uint8_t *to, int32_t width) {
    for (int32_t x = 0; x < width; x++) memcpy(to + 4 * (size_t)x, from + x * pixel, 4);
}

static void copy_row(const augreg_image *in, const uint8_t *from, uint8_t *to, int32_t width) {
    if (in->floats)
        copy_floats(from, in->pixel, to, width);
    else if (in->pixel == -in->channels && in->channel == 1)
        copy_mirrored(from, to, width, in->channels);
    else if (in->pixel == 1 && in->channels == 3)
        copy_planes(from, in->channel, to, width);
    else
        copy_pixels(from, in->pixel, in->channel, to, width, in->channels);
}

void NAME(copy)(const augreg_image *in, const augreg_image *out) {
    const ptrdiff_t pixel = in->pixel < 0 ? -in->pixel : in->pixel, row = in->row < 0 ? -in->row : in->row;
    const int whole = in->pixel == out->pixel && (in->floats || in->channel == 1);
    const int32_t tile = !whole && pixel > row ? TILE : in->width;
    for (int32_t c = 0; c < (in->floats ? in->channels : 1); c++) {
        const uint8_t *plane = in->data + c * in->channel;
        uint8_t *to_plane = out->data + c * out->channel;
        for (int32_t x = 0; x < in->width; x += tile < in->width - x ? tile : in->width - x) {
            const int32_t width = tile < in->width - x ? tile : in->width - x;
            for (int32_t y = 0; y < in->height; y++) {
                const uint8_t *from = plane + y * in->row + x * in->pixel;
                uint8_t *to = to_plane + y * out->row + x * out->pixel;
                if (whole)
                    memcpy(to, from, (size_t)width * (size_t)out->pixel);
                else
                    copy_row(in, from, to, width);
            }
        }
    }
}
