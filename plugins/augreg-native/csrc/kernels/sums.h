/* Weighted sums of rows of floats, in single precision and from the first row to the last. */

#ifndef AUGREG_SUMS_H
#define AUGREG_SUMS_H

#include "kernels.h"

/* to[i] = weights[0] * rows[0][i] + .. + weights[count - 1] * rows[count - 1][i], for i from 0 to before `width`. */
void NAME(sum_rows)(const float *const *rows, const float *weights, size_t count, size_t width, float *to);

#endif
