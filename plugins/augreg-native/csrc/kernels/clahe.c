/* CLAHE: a table for each tile of the luma, bilinear between tiles; the change of the luma is added to all colors. The sums are
   those of the core, in single precision. */

#include "floats.h"
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tiles along one side, and for each pixel the two whose centers are around it and the share of the second. */
typedef struct {
    int32_t size, tiles, tile; /* size: extended to whole tiles */
    int32_t *first, *second;
    float *share;
} side;

static int32_t clipped(float tile, int32_t tiles) { return tile < 0.0f ? 0 : tile < (float)tiles ? (int32_t)tile : tiles - 1; }

static void divide(side *side) {
    const float step = (float)(1.0 / side->tile);
    for (int32_t i = 0; i < side->size; i++) {
        float place = (float)i * step - 0.5f, before = floorf(place);
        side->first[i] = clipped(before, side->tiles);
        side->second[i] = clipped(before + 1.0f, side->tiles);
        side->share[i] = place - before;
    }
}

/* The pixel that a position beyond the end mirrors, without the last one twice. */
static int32_t mirrored(int32_t i, int32_t size) {
    if (size == 1) return 0;
    i %= 2 * (size - 1);
    return i < size ? i : 2 * (size - 1) - i;
}

static void luma_of(const augreg_image *in, int32_t height, int32_t width, uint8_t *luma) {
    for (int32_t y = 0; y < height; y++, luma += width) {
        const uint8_t *from = in->data + mirrored(y, in->height) * in->row;
        if (in->channels == 1)
            memcpy(luma, from, (size_t)in->width);
        else
            for (int32_t x = 0; x < in->width; x++)
                luma[x] = (uint8_t)((19595u * from[3 * x] + 38470u * from[3 * x + 1] + 7471u * from[3 * x + 2] + 32768u) >> 16);
        for (int32_t x = in->width; x < width; x++) luma[x] = luma[mirrored(x, in->width)];
    }
}

/* The table of a tile: its cumulative histogram, after what is above the limit is spread over all values. */
static void equalize(const uint8_t *luma, int32_t width, int32_t tile_height, int32_t tile_width, double clip, float *table) {
    int64_t counts[256] = {0}, area = (int64_t)tile_height * tile_width, limit = (int64_t)(clip * (double)area / 256.0);
    int64_t excess = 0, sum = 0;
    if (limit < 1) limit = 1;
    for (int32_t y = 0; y < tile_height; y++, luma += width)
        for (int32_t x = 0; x < tile_width; x++) counts[luma[x]]++;
    for (int32_t value = 0; value < 256; value++) {
        if (counts[value] <= limit) continue;
        excess += counts[value] - limit;
        counts[value] = limit;
    }
    int32_t rest = (int32_t)(excess % 256), step = rest ? 256 / rest : 256;
    for (int32_t k = 0; k < rest; k++) counts[k * step]++;
    const float scale = (float)(255.0 / (double)area);
    for (int32_t value = 0; value < 256; value++) {
        sum += counts[value] + excess / 256;
        float entry = rintf((float)sum * scale);
        table[value] = entry < 255.0f ? entry : 255.0f;
    }
}

/* A row of luma through the tables of the two rows of tiles around it. */
static void interpolate(const uint8_t *luma, int32_t count, const side *across, const float *upper, const float *lower,
                        float down, uint8_t *found) {
    for (int32_t x = 0; x < count; x++) {
        int32_t left = across->first[x] * 256 + luma[x], right = across->second[x] * 256 + luma[x];
        float part = across->share[x], rest = 1.0f - part;
        float above = upper[left] * rest + upper[right] * part, below = lower[left] * rest + lower[right] * part;
        float mixed = above * (1.0f - down) + below * down;
        found[x] = (uint8_t)(int32_t)rounded(mixed);
    }
}

static void shift(const uint8_t *from, const uint8_t *luma, const uint8_t *found, int32_t width, uint8_t *to) {
    for (int32_t x = 0; x < width; x++) {
        int32_t change = found[x] - luma[x];
        for (int32_t c = 0; c < 3; c++) {
            int32_t value = from[3 * x + c] + change;
            to[3 * x + c] = (uint8_t)(value < 0 ? 0 : value < 255 ? value : 255);
        }
    }
}

int NAME(clahe)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_clahe *clahe = (const augreg_clahe *)op;
    side down = {.tiles = clahe->rows, .tile = (in->height + clahe->rows - 1) / clahe->rows};
    side across = {.tiles = clahe->columns, .tile = (in->width + clahe->columns - 1) / clahe->columns};
    down.size = down.tiles * down.tile;
    across.size = across.tiles * across.tile;
    size_t height = (size_t)down.size, width = (size_t)across.size, row = 256 * (size_t)across.tiles;
    float *tables = malloc(((size_t)down.tiles * row + 3 * (height + width)) * 4 + height * width + width);
    if (tables == NULL) return AUGREG_NO_MEMORY;
    down.share = tables + (size_t)down.tiles * row;
    across.share = down.share + height;
    down.first = (int32_t *)(across.share + width);
    down.second = down.first + height;
    across.first = down.second + height;
    across.second = across.first + width;
    uint8_t *luma = (uint8_t *)(across.second + width), *found = luma + height * width;
    divide(&down);
    divide(&across);
    luma_of(in, down.size, across.size, luma);
    for (int32_t y = 0; y < down.tiles; y++)
        for (int32_t x = 0; x < across.tiles; x++)
            equalize(luma + (size_t)y * (size_t)down.tile * width + (size_t)x * (size_t)across.tile, across.size, down.tile,
                     across.tile, clahe->clip, tables + (size_t)y * row + 256 * (size_t)x);
    for (int32_t y = 0; y < in->height; y++, luma += width) {
        uint8_t *to = out->data + y * out->row;
        interpolate(luma, in->width, &across, tables + (size_t)down.first[y] * row, tables + (size_t)down.second[y] * row,
                    down.share[y], in->channels == 1 ? to : found);
        if (in->channels > 1) shift(in->data + y * in->row, luma, found, in->width, to);
    }
    free(tables);
    return AUGREG_OK;
}
