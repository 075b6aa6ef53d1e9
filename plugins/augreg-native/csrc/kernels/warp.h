/* Positions in double precision, and what reads an image at them. */

#ifndef AUGREG_WARP_H
#define AUGREG_WARP_H

#include "kernels.h"

enum { AUGREG_PIECE = 256 };

typedef struct {
    double x[AUGREG_PIECE], y[AUGREG_PIECE];
} augreg_positions;

/* Fill `count` pixels. */
void NAME(fill_pixels)(uint8_t *to, int32_t count, const uint8_t *fill, int32_t channels);

/* Bilinear, for an affine map that keeps rows and columns straight. */
int NAME(straight)(const augreg_warp *warp, const augreg_image *in, const augreg_image *out);

/* Bicubic values at `count` positions; the fill outside of the image. */
void NAME(cubic)(const augreg_warp *warp, const augreg_image *in, const augreg_positions *at, int32_t count, uint8_t *to);

#endif
