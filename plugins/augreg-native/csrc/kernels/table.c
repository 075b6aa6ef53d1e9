/* The table of the kernels of one instruction set. */

#include "kernels.h"

#define TEXT2(name) #name
#define TEXT(name) TEXT2(name)

static augreg_kernel *const kernels[AUGREG_CODES] = {
    [AUGREG_RESIZE] = NAME(resize),
    [AUGREG_PAD] = NAME(pad),
    [AUGREG_PAINT] = NAME(paint),
    [AUGREG_NORMALIZE] = NAME(normalize),
    [AUGREG_WARP] = NAME(warp),
    [AUGREG_SHARPEN] = NAME(sharpen),
    [AUGREG_BLUR] = NAME(blur),
    [AUGREG_MEDIAN] = NAME(median),
    [AUGREG_CONVOLVE] = NAME(convolve),
    [AUGREG_NOISE] = NAME(noise),
    [AUGREG_REMAP] = NAME(remap),
    [AUGREG_FLOAT_BLUR] = NAME(float_blur),
    [AUGREG_CLAHE] = NAME(clahe),
    [AUGREG_NOISE_BOX] = NAME(noise_box),
    [AUGREG_GRID] = NAME(grid),
};

const augreg_table NAME(table) = {TEXT(AUGREG_ISA), kernels, NAME(copy), NAME(color)};
