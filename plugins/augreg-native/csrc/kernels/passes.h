/* The two passes of a resize, for the instruction set.

   `cut_pass` prepares the weights for `columns`, with the pixels of a vector, or for `row_of`, with 1. */

#ifndef AUGREG_PASSES_H
#define AUGREG_PASSES_H

#include <stdlib.h>
#include <string.h>

#include "../weights.h"
#include "kernels.h"

enum {
    HALF = 1 << (AUGREG_WEIGHT_BITS - 1),
    MARGIN = 64, /* bytes after a row that may be read and written */
};

#if AUGREG_VECTORS

#include "digits.h"

/* The pixels of a vector of totals, and the bytes of one. */
#define PIXELS(channels) (LANES * 4 / ((channels) == 3 ? 4 : (channels)))
enum { CHUNK = (int)sizeof(vector) };

/* A pass: the weights cut into parts. Over columns: for each vector of pixels, for each block, for each part, one number
   a pixel; `at` is where the first tap of each pixel is, in bytes. Over rows: for each row, block and part, one number.
   `near` is set where the taps of all pixels of a vector are in one vector of the input. */
typedef struct {
    int32_t length, blocks, *at, *parts, near;
} pass;

static int cut_pass(const augreg_weights *weights, int pixels, int channels, pass *found) {
    size_t groups = ((size_t)weights->length + pixels - 1) / pixels, blocks = (size_t)weights->blocks;
    found->length = weights->length;
    found->blocks = weights->blocks;
    size_t starts = (groups * pixels * sizeof(int32_t) + 63) & ~(size_t)63;
    found->at = calloc(starts + (groups * pixels * blocks * PARTS + 16) * sizeof(int32_t), 1);
    if (found->at == NULL) return AUGREG_NO_MEMORY;
    found->parts = (int32_t *)((char *)found->at + starts);
    for (size_t i = 0; i < (size_t)weights->length; i++) {
        size_t group = i / pixels, within = i % pixels;
        found->at[i] = weights->start[i] * channels;
        for (size_t block = 0; block < blocks; block++) {
            int32_t parts[PARTS];
            cut(weights->weights + 4 * (i * blocks + block), parts);
            int32_t *to = found->parts + (group * blocks + block) * PARTS * pixels + within;
            for (int part = 0; part < PARTS; part++) to[part * pixels] = parts[part];
        }
    }
    found->near = NEAR && pixels > 1;
    for (size_t group = 0; found->near && group < groups; group++) {
        int32_t least = INT32_MAX, most = 0;
        for (size_t i = group * pixels; i < (group + 1) * pixels && i < (size_t)weights->length; i++) {
            least = found->at[i] < least ? found->at[i] : least;
            most = found->at[i] > most ? found->at[i] : most;
        }
        for (size_t i = weights->length; i < (group + 1) * pixels; i++) found->at[i] = least; /* the last vector */
        found->near = most - least + 4 * channels <= CHUNK;
    }
    return AUGREG_OK;
}

#ifdef AUGREG_ISA_avx512

/* The columns of TOGETHER rows by one load and one permutation of bytes a row, where the taps are near each other. */
static inline __attribute__((always_inline)) void near_columns_of(const pass *pass, const uint8_t *const *rows,
                                                                  uint8_t *const *to, const int channels) {
    const int pixels = PIXELS(channels);
    const int32_t *parts = pass->parts;
    for (int32_t x = 0; x < pass->length; x += pixels) {
        int32_t first;
        const vector index = places(pass->at + x, channels, &first);
        vector sums[TOGETHER][SUMS];
        for (int r = 0; r < TOGETHER; r++)
            for (int s = 0; s < SUMS; s++) sums[r][s] = s == SUMS - 1 ? all(HALF) : zero();
        for (int32_t block = 0; block < pass->blocks; block++, parts += PARTS * pixels, first += 4 * channels) {
            vector weights[PARTS];
            for (int part = 0; part < PARTS; part++) weights[part] = repeated(parts + part * pixels, channels);
            for (int r = 0; r < TOGETHER; r++)
                add(sums[r], _mm512_permutexvar_epi8(index, load(rows[r] + first)), weights);
        }
        vector totals[TOGETHER];
        for (int r = 0; r < TOGETHER; r++) totals[r] = total(sums[r]);
        store_four(to, x * channels, bytes_of(totals), channels);
    }
}

static void near_columns(const pass *pass, const uint8_t *const *rows, uint8_t *const *to, int channels) {
    switch (channels) {
        case 1: near_columns_of(pass, rows, to, 1); break;
        case 2: near_columns_of(pass, rows, to, 2); break;
        case 3: near_columns_of(pass, rows, to, 3); break;
        case 4: near_columns_of(pass, rows, to, 4); break;
    }
}

#else

static void near_columns(const pass *pass, const uint8_t *const *rows, uint8_t *const *to, int channels) {
    (void)pass, (void)rows, (void)to, (void)channels;
}

#endif

/* The columns of `count` rows; rows of input and result may be read and written MARGIN bytes beyond their ends. */
static inline __attribute__((always_inline)) void columns_of(const pass *pass, const uint8_t *const *rows, uint8_t *const *to,
                                                             const int count, const int channels) {
    const int pixels = PIXELS(channels);
    const int32_t *parts = pass->parts;
    for (int32_t x = 0; x < pass->length; x += pixels) {
        vector sums[TOGETHER][SUMS];
        for (int r = 0; r < count; r++)
            for (int s = 0; s < SUMS; s++) sums[r][s] = s == SUMS - 1 ? all(HALF) : zero();
        for (int32_t block = 0; block < pass->blocks; block++, parts += PARTS * pixels) {
            vector weights[PARTS];
            for (int part = 0; part < PARTS; part++) weights[part] = repeated(parts + part * pixels, channels);
            for (int r = 0; r < count; r++)
                add(sums[r], taps_at(rows[r] + 4 * channels * block, pass->at + x, channels), weights);
        }
        if (count < TOGETHER) {
            for (int r = 0; r < count; r++) store_totals(to[r] + x * channels, total(sums[r]), channels);
            continue;
        }
        vector totals[TOGETHER];
        for (int r = 0; r < TOGETHER; r++) totals[r] = total(sums[r]);
        store_four(to, x * channels, bytes_of(totals), channels);
    }
}

static void columns(const pass *pass, const uint8_t *const *rows, uint8_t *const *to, int count, int channels) {
#define EACH(number)                                                     \
    case number:                                                         \
        if (count == TOGETHER)                                           \
            columns_of(pass, rows, to, TOGETHER, number);                \
        else                                                             \
            for (int r = 0; r < count; r++) columns_of(pass, rows + r, to + r, 1, number); \
        break
    if (pass->near && count == TOGETHER) {
        near_columns(pass, rows, to, channels);
        return;
    }
    switch (channels) {
        EACH(1);
        EACH(2);
        EACH(3);
        EACH(4);
    }
#undef EACH
}

/* A chunk of one row of the result from 4 * blocks rows, from `offset` on. */
static inline __attribute__((always_inline)) vector chunk_of(const int32_t *parts, int32_t blocks, const uint8_t *const *rows,
                                                             size_t offset) {
    vector sums[4][SUMS];
    for (int q = 0; q < 4; q++)
        for (int s = 0; s < SUMS; s++) sums[q][s] = s == SUMS - 1 ? all(HALF) : zero();
    for (int32_t block = 0; block < blocks; block++) {
        vector row[4], weights[PARTS];
        for (int r = 0; r < 4; r++) row[r] = load(rows[4 * block + r] + offset);
        for (int part = 0; part < PARTS; part++) weights[part] = all(parts[block * PARTS + part]);
        vector low01 = UNPACK(lo, 8, row[0], row[1]), high01 = UNPACK(hi, 8, row[0], row[1]);
        vector low23 = UNPACK(lo, 8, row[2], row[3]), high23 = UNPACK(hi, 8, row[2], row[3]);
        add(sums[0], UNPACK(lo, 16, low01, low23), weights);
        add(sums[1], UNPACK(hi, 16, low01, low23), weights);
        add(sums[2], UNPACK(lo, 16, high01, high23), weights);
        add(sums[3], UNPACK(hi, 16, high01, high23), weights);
    }
    vector totals[4];
    for (int q = 0; q < 4; q++) totals[q] = total(sums[q]);
    return bytes_of(totals);
}

/* Row i of the result, `bytes` long, from 4 * blocks rows. A row shorter than a vector is read MARGIN bytes further. */
static void row_of(const pass *pass, int32_t i, const uint8_t *const *rows, uint8_t *to, size_t bytes) {
    const int32_t *parts = pass->parts + (size_t)i * (size_t)pass->blocks * PARTS;
    if (bytes < CHUNK) {
        uint8_t result[CHUNK];
        store(result, chunk_of(parts, pass->blocks, rows, 0));
        memcpy(to, result, bytes);
        return;
    }
    size_t at = 0;
    for (; at + CHUNK <= bytes; at += CHUNK) store(to + at, chunk_of(parts, pass->blocks, rows, at));
    if (at < bytes) /* the last chunk overlaps with the one before */
        store(to + bytes - CHUNK, chunk_of(parts, pass->blocks, rows, bytes - CHUNK));
}

#else

enum { CHUNK = 64, TOGETHER = 1 };
#define PIXELS(channels) 1

typedef struct {
    int32_t length, blocks, *at, *parts;
} pass;

static int cut_pass(const augreg_weights *weights, int pixels, int channels, pass *found) {
    (void)pixels;
    found->length = weights->length;
    found->blocks = weights->blocks;
    size_t length = (size_t)weights->length, taps = length * 4 * (size_t)weights->blocks;
    found->at = malloc((length + taps) * sizeof(int32_t));
    if (found->at == NULL) return AUGREG_NO_MEMORY;
    found->parts = found->at + length;
    for (size_t i = 0; i < length; i++) found->at[i] = weights->start[i] * channels;
    memcpy(found->parts, weights->weights, taps * sizeof(int32_t));
    return AUGREG_OK;
}

static inline uint8_t rounded(int32_t sum) {
    sum >>= AUGREG_WEIGHT_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static inline __attribute__((always_inline)) void columns_of(const pass *pass, const uint8_t *row, uint8_t *to, int channels) {
    const int32_t taps = 4 * pass->blocks, *weights = pass->parts;
    for (int32_t x = 0; x < pass->length; x++, weights += taps) {
        const uint8_t *from = row + pass->at[x];
        int32_t sums[AUGREG_MOST_CHANNELS];
        for (int c = 0; c < channels; c++) sums[c] = HALF;
        for (int32_t k = 0; k < taps; k++)
            for (int c = 0; c < channels; c++) sums[c] += weights[k] * from[k * channels + c];
        for (int c = 0; c < channels; c++) to[x * channels + c] = rounded(sums[c]);
    }
}

static void columns(const pass *pass, const uint8_t *const *rows, uint8_t *const *to, int count, int channels) {
    for (int r = 0; r < count; r++) {
        if (channels == 1) columns_of(pass, rows[r], to[r], 1);
        if (channels == 2) columns_of(pass, rows[r], to[r], 2);
        if (channels == 3) columns_of(pass, rows[r], to[r], 3);
        if (channels == 4) columns_of(pass, rows[r], to[r], 4);
    }
}

static void row_of(const pass *pass, int32_t i, const uint8_t *const *rows, uint8_t *to, size_t bytes) {
    const int32_t taps = 4 * pass->blocks, *weights = pass->parts + (size_t)i * (size_t)taps;
    for (size_t at = 0; at < bytes; at += CHUNK) {
        int32_t sums[CHUNK];
        const int count = bytes - at < CHUNK ? (int)(bytes - at) : CHUNK;
        for (int x = 0; x < CHUNK; x++) sums[x] = HALF;
        if (count == CHUNK) {
            for (int32_t k = 0; k < taps; k++)
                for (int x = 0; x < CHUNK; x++) sums[x] += weights[k] * rows[k][at + x];
        } else {
            for (int32_t k = 0; k < taps; k++)
                for (int x = 0; x < count; x++) sums[x] += weights[k] * rows[k][at + x];
        }
        for (int x = 0; x < count; x++) to[at + x] = rounded(sums[x]);
    }
}

#endif

#endif
