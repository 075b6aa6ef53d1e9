/* Bytes to planes of floats. */

#include "kernels.h"

/* The channel of `count` pixels, one by one. */
static void scaled(const uint8_t *from, int32_t count, int32_t channels, double scale, double offset, float *to) {
    for (int32_t x = 0; x < count; x++) to[x] = (float)((double)from[(size_t)x * channels] * scale + offset);
}

static void looked_up(const uint8_t *from, int32_t count, int32_t channels, const float *table, float *to) {
    for (int32_t x = 0; x < count; x++) to[x] = table[from[(size_t)x * channels]];
}

#if AUGREG_VECTORS

/* The channel of four pixels as floats; 16 bytes are read. The order of the operations is that of `scaled`. */
static inline __m128 four(__m128i pixels, __m128i pick, __m256d scale, __m256d offset) {
    __m256d values = _mm256_cvtepi32_pd(_mm_shuffle_epi8(pixels, pick));
    return _mm256_cvtpd_ps(_mm256_add_pd(_mm256_mul_pd(values, scale), offset));
}

/* A row: all channels of four pixels at a time, as long as 16 bytes are left. Returns how many pixels were done. */
static inline __attribute__((always_inline)) int32_t by_four(const augreg_normalize *op, const uint8_t *from, int32_t count,
                                                             const int channels, float *const *to) {
    __m128i pick[AUGREG_MOST_CHANNELS];
    __m256d scale[AUGREG_MOST_CHANNELS], offset[AUGREG_MOST_CHANNELS];
    for (int c = 0; c < channels; c++) {
        pick[c] = _mm_setr_epi8((char)c, -1, -1, -1, (char)(c + channels), -1, -1, -1, (char)(c + 2 * channels), -1, -1, -1,
                                (char)(c + 3 * channels), -1, -1, -1);
        scale[c] = _mm256_set1_pd(op->scale[c]);
        offset[c] = _mm256_set1_pd(op->offset[c]);
    }
    int32_t x = 0;
    for (; (int64_t)x * channels + 16 <= (int64_t)count * channels; x += 4) {
        __m128i pixels = _mm_loadu_si128((const __m128i *)(from + (size_t)x * channels));
        for (int c = 0; c < channels; c++) _mm_storeu_ps(to[c] + x, four(pixels, pick[c], scale[c], offset[c]));
    }
    return x;
}

static int32_t most_of(const augreg_normalize *op, const uint8_t *from, int32_t count, int channels, float *const *to) {
    switch (channels) {
        case 1: return by_four(op, from, count, 1, to);
        case 2: return by_four(op, from, count, 2, to);
        case 3: return by_four(op, from, count, 3, to);
        default: return by_four(op, from, count, 4, to);
    }
}

#else

static int32_t most_of(const augreg_normalize *op, const uint8_t *from, int32_t count, int channels, float *const *to) {
    (void)op, (void)from, (void)count, (void)channels, (void)to;
    return 0;
}

#endif

int NAME(normalize)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_normalize *normalize = (const augreg_normalize *)op;
    const float *tables = (const float *)(normalize + 1);
    for (int32_t y = 0; y < in->height; y++) {
        const uint8_t *from = in->data + y * in->row;
        float *to[AUGREG_MOST_CHANNELS];
        for (int32_t c = 0; c < in->channels; c++) to[c] = (float *)(out->data + y * out->row + c * out->channel);
        int32_t x = normalize->tables ? 0 : most_of(normalize, from, in->width, in->channels, to);
        from += (size_t)x * in->channels;
        for (int32_t c = 0; c < in->channels; c++) {
            if (normalize->tables) {
                looked_up(from + c, in->width, in->channels, tables + 256 * c, to[c]);
            } else {
                scaled(from + c, in->width - x, in->channels, normalize->scale[c], normalize->offset[c], to[c] + x);
            }
        }
    }
    return AUGREG_OK;
}
