#include "kernels.h"
int NAME(noise)(const augreg_op *op, const augreg_image *in, const augreg_image *out) { (void)op,(void)in,(void)out; return AUGREG_BAD_PROGRAM; }
