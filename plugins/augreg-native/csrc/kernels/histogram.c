/* Histograms of chunks, and the tables of equalize and auto_contrast with the bytes of Pillow. */

#include "color.h"

#include <string.h>

void NAME(clear_histograms)(augreg_histograms *counts, int32_t colors) {
    for (int32_t c = 0; c < colors; c++) {
        memset(counts->parts[c], 0, sizeof counts->parts[c]);
        memset(counts->of[c], 0, sizeof counts->of[c]);
    }
    counts->pending = 0;
}

void NAME(sum_histograms)(augreg_histograms *counts, int32_t colors) {
    for (int32_t c = 0; c < colors; c++) {
        for (int32_t part = 0; part < AUGREG_PARTS; part++)
            for (int32_t value = 0; value < 256; value++) counts->of[c][value] += counts->parts[c][part][value];
        memset(counts->parts[c], 0, sizeof counts->parts[c]);
    }
    counts->pending = 0;
}

void NAME(count_values)(const augreg_chunk *chunk, augreg_histograms *counts, int32_t colors) {
    for (int32_t c = 0; c < colors; c++) {
        const uint8_t *values = chunk->bytes[c];
        uint32_t(*parts)[256] = counts->parts[c];
        int32_t i = 0;
        for (; i + 8 <= chunk->count; i += 8) {
            uint64_t eight;
            memcpy(&eight, values + i, 8);
            for (int32_t k = 0; k < 8; k++) parts[k % AUGREG_PARTS][eight >> 8 * k & 255]++;
        }
        for (; i < chunk->count; i++) parts[0][values[i]]++;
    }
    counts->pending += (uint32_t)chunk->count;
    if (counts->pending >= 1u << 31) NAME(sum_histograms)(counts, colors);
}

static void identity(uint8_t *table) {
    for (int32_t value = 0; value < 256; value++) table[value] = (uint8_t)value;
}

void NAME(equalized)(const int64_t *counts, uint8_t *table) {
    int64_t total = 0;
    int32_t last = 0;
    for (int32_t value = 0; value < 256; value++) {
        total += counts[value];
        if (counts[value]) last = value;
    }
    int64_t step = (total - counts[last]) / 255;
    if (step == 0) { /* also where there is one value only */
        identity(table);
        return;
    }
    int64_t before = step / 2;
    for (int32_t value = 0; value < 256; value++) {
        table[value] = (uint8_t)(before >= 255 * step ? 255 : before / step);
        before += counts[value];
    }
}

/* Take `most` pixels away, in steps of one value. */
static void cut(int64_t *counts, int32_t value, int32_t step, int64_t most) {
    for (; value >= 0 && value < 256 && most > 0; value += step) {
        int64_t taken = most < counts[value] ? most : counts[value];
        counts[value] -= taken;
        most -= taken;
    }
}

void NAME(stretched)(const int64_t *counts, double cutoff, uint8_t *table) {
    int64_t left[256], total = 0;
    for (int32_t value = 0; value < 256; value++) total += left[value] = counts[value];
    int64_t most = (int64_t)((double)total * cutoff / 100.0);
    cut(left, 0, 1, most);
    cut(left, 255, -1, most);
    int32_t low = 0, high = 255;
    while (low < 256 && left[low] == 0) low++;
    while (high >= 0 && left[high] == 0) high--;
    if (low >= high) {
        identity(table);
        return;
    }
    double scale = 255.0 / (high - low), offset = -low * scale;
    for (int32_t value = 0; value < 256; value++) {
        double stretched = value * scale + offset;
        table[value] = stretched <= 0.0 ? 0 : stretched >= 255.0 ? 255 : (uint8_t)stretched;
    }
}
