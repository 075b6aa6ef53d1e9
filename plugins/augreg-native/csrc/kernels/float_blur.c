/* Planes of floats convolved with the same weights down the columns and then along the rows; beyond the edges they are repeated
   or mirrored. The sums are those of the core, in single precision and from the first neighbor to the last. */

#include "sums.h"

#include <stdlib.h>

/* Where a row or column comes from that may lie beyond the edges. */
static int32_t inside(int64_t place, int32_t size, int32_t mirrored) {
    if (place >= 0 && place < size) return (int32_t)place;
    if (!mirrored) return place < 0 ? 0 : size - 1;
    const int64_t twice = 2 * (int64_t)size, within = (place % twice + twice) % twice;
    return (int32_t)(within < size ? within : twice - 1 - within);
}

int NAME(float_blur)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_float_blur *blur = (const augreg_float_blur *)op;
    const float *weights = (const float *)(blur + 1);
    const int32_t reach = blur->reach, height = in->height, width = in->width;
    const size_t count = 2 * (size_t)reach + 1, border = (size_t)reach;
    float *line = malloc(((size_t)width + 2 * border) * sizeof *line), *middle = line + border;
    int32_t *columns = malloc(2 * border * sizeof *columns + 1); /* of the pixels before the first, and after the last */
    const float **rows = malloc(((size_t)height + 2 * border) * sizeof *rows), **along = malloc(count * sizeof *along);
    const int status = line == NULL || columns == NULL || rows == NULL || along == NULL ? AUGREG_NO_MEMORY : AUGREG_OK;
    if (status == AUGREG_OK) {
        for (size_t k = 0; k < count; k++) along[k] = line + k;
        for (int32_t x = 0; x < reach; x++) {
            columns[x] = inside((int64_t)x - reach, width, blur->mirrored);
            columns[reach + x] = inside((int64_t)width + x, width, blur->mirrored);
        }
        for (int32_t c = 0; c < in->channels; c++) {
            for (int64_t y = -(int64_t)reach; y < (int64_t)height + reach; y++)
                rows[y + reach] = (const float *)(in->data + c * in->channel + inside(y, height, blur->mirrored) * in->row);
            for (int32_t y = 0; y < height; y++) {
                NAME(sum_rows)(rows + y, weights, count, (size_t)width, middle);
                for (int32_t x = 0; x < reach; x++) {
                    line[x] = middle[columns[x]];
                    middle[width + x] = middle[columns[reach + x]];
                }
                NAME(sum_rows)(along, weights, count, (size_t)width, (float *)(out->data + c * out->channel + y * out->row));
            }
        }
    }
    free(line);
    free(columns);
    free(rows);
    free(along);
    return status;
}
