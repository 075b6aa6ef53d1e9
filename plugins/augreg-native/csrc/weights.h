/* The weights of a pass of a resize. */

#ifndef AUGREG_WEIGHTS_H
#define AUGREG_WEIGHTS_H

#include <stdint.h>

#define AUGREG_WEIGHT_BITS 22
#define AUGREG_LONGEST_RESIZED (1 << 24) /* the longest side of an image that is resized, before and after */

/* Pixel i of the result is the sum of 4 * blocks weights, from weights[4 * blocks * i] on, times the pixels from start[i]
   on. The weights have 22 binary digits after the point; those beyond the kernel or the image are 0. The pixels lie within
   the side, except where it has fewer than 4 * blocks: then up to 3 are beyond its end. */
typedef struct {
    int32_t length, blocks, *start, *weights;
} augreg_weights;

/* Compute the weights of the pixels `first` to before first + length of a side of `size` pixels, of which the `extent` from
   `begin` on, not always whole pixels, is resized to new_size. The kernel reads beyond that extent as far as there are pixels.
   Where `mirrored` is set, the pixels of the input are counted from the other end; where `backward` is set, the last
   pixel of the result comes first. Returns an augreg_status. Free found->start in every case. */
int augreg_weigh(int32_t size, double begin, double extent, int32_t new_size, int32_t first, int32_t length, int32_t filter,
                 int mirrored, int backward, augreg_weights *found);

#endif
