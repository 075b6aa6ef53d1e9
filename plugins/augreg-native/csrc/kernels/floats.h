/* What several kernels do with floats. */

#ifndef AUGREG_FLOATS_H
#define AUGREG_FLOATS_H

static inline float least(float a, float b) { return a < b ? a : b; }
static inline float most(float a, float b) { return a > b ? a : b; }

/* Rounded to the nearest whole number, halves to the even one; for numbers below 2^22. */
static inline float rounded(float value) { return (value + 0x1.8p23f) - 0x1.8p23f; }

#endif
