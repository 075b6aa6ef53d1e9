/* Normal and uniform numbers of a key: the fields of augreg.rng. */

#ifndef AUGREG_NORMAL_H
#define AUGREG_NORMAL_H

#include "kernels.h"

enum { AUGREG_PAIRS = 512 };

/* `count` pairs from pair `start` on, of `half` pairs in all: number start + i of the field goes to `first`, by the cosine, and
   number half + start + i to `second`, by the sine. At most AUGREG_PAIRS; `start` is a multiple of 4. */
void NAME(normal_pairs)(uint64_t key, uint64_t half, uint64_t start, int32_t count, float *first, float *second);

/* `count` numbers in [0, 1) from number `start` of the field on, with 24 bits each; at most AUGREG_PAIRS. */
void NAME(uniform)(uint64_t key, uint64_t start, int32_t count, float *to);

#endif
