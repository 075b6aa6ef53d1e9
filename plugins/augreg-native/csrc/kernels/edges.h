/* Images with repeated edges. */

#ifndef AUGREG_EDGES_H
#define AUGREG_EDGES_H

#include "kernels.h"

/* A packed copy with a border of `reach` pixels on all sides, which repeats the edges, and `slack` zeros after it. To be freed;
   NULL if there is no memory. */
uint8_t *NAME(with_edges)(const augreg_image *in, int32_t reach, size_t slack);

#endif
