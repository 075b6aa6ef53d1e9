/* The declarations of the kernels of one instruction set. Sources in this folder are compiled once for each, with AUGREG_ISA
   as its name and the compiler's flags for it. NAME(resize) is the symbol of this instruction set. */

#ifndef AUGREG_KERNELS_H
#define AUGREG_KERNELS_H

#include "../program.h"

#ifdef AUGREG_ISA_plain
#define AUGREG_VECTORS 0
#else
#define AUGREG_VECTORS 1 /* AVX2 at least */
#include <immintrin.h>
#endif

#define AUGREG_JOIN2(a, b) a##_##b
#define AUGREG_JOIN(a, b) AUGREG_JOIN2(a, b)
#define NAME(name) AUGREG_JOIN(augreg_##name, AUGREG_ISA)

/* A copy of any view into a packed image that does not overlap with it. */
void NAME(copy)(const augreg_image *in, const augreg_image *out);

augreg_kernel NAME(resize), NAME(pad), NAME(paint), NAME(normalize), NAME(warp);
augreg_kernel NAME(sharpen), NAME(blur), NAME(median), NAME(convolve), NAME(noise), NAME(remap), NAME(float_blur), NAME(clahe), NAME(noise_box);
augreg_kernel NAME(grid);
augreg_color_kernel NAME(color);

#endif
