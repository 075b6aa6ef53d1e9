/* Histograms, and the tables that are made of them. */

#ifndef AUGREG_COLOR_H
#define AUGREG_COLOR_H

#include "planes.h"

/* How often each byte occurs, by color. Neighboring pixels are counted apart, because a count takes some time to store. */
enum { AUGREG_PARTS = 4 };
typedef struct {
    uint32_t parts[AUGREG_MOST_CHANNELS][AUGREG_PARTS][256];
    int64_t of[AUGREG_MOST_CHANNELS][256];
    uint32_t pending; /* pixels in `parts`, which 32 bits can hold */
} augreg_histograms;

void NAME(clear_histograms)(augreg_histograms *counts, int32_t colors);
void NAME(count_values)(const augreg_chunk *chunk, augreg_histograms *counts, int32_t colors);

/* The histograms as a whole go to `of`. */
void NAME(sum_histograms)(augreg_histograms *counts, int32_t colors);

/* The table of equalize: the cumulative histogram, in steps. */
void NAME(equalized)(const int64_t *counts, uint8_t *table);

/* The table of auto_contrast: the values from the lowest to the highest become 0 to 255, after `cutoff` percent of the
   pixels are left out at each end. */
void NAME(stretched)(const int64_t *counts, double cutoff, uint8_t *table);

#endif
