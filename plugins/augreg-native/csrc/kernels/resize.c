/* Antialiased resizing of byte images, equal to Pillow's in every bit.

   A pass over the columns and a pass over the rows, with bytes in between, in the order that docs/backends.md defines. The
   first pass is only as far ahead of the second one as that needs, so that what is in between stays in the fastest cache. */

#include "passes.h"

/* What both orders need: the input, the passes, and memory for rows in between. */
typedef struct {
    augreg_image in, out;
    size_t in_bytes, out_bytes; /* of a row */
    int flip_y;
    augreg_weights across_weights, down_weights;
    pass across, down;
    uint8_t *memory; /* rows, each with MARGIN bytes more */
    const uint8_t **rows;
    const uint8_t *end; /* of the input */
} work;

/* Row y of the input, its leftmost byte in memory first. */
static const uint8_t *row_at(const work *job, int32_t y) {
    const augreg_image *in = &job->in;
    return in->data + y * in->row + (in->pixel < 0 ? (in->width - 1) * in->pixel : 0);
}

/* Row y of the input with MARGIN bytes after it that may be read: itself, or a copy where the memory ends before that. */
static const uint8_t *with_margin(const work *job, int32_t y, uint8_t *copy) {
    const uint8_t *row = row_at(job, y);
    if ((size_t)(job->end - row) >= job->in_bytes + MARGIN) return row;
    memcpy(copy, row, job->in_bytes);
    return copy;
}

static uint8_t *out_row(const work *job, int32_t i) {
    return job->out.data + (job->flip_y ? job->out.height - 1 - i : i) * job->out.row;
}

static int columns_first(work *job) {
    const int32_t height = job->in.height, taps = 4 * job->down.blocks, ring = taps + TOGETHER;
    const size_t size = (job->out_bytes + 2 * MARGIN) & ~(size_t)63, copy = (job->in_bytes + 2 * MARGIN) & ~(size_t)63;
    job->memory = calloc((size_t)ring * size + TOGETHER * copy, 1);
    job->rows = malloc((size_t)taps * sizeof *job->rows);
    if (job->memory == NULL || job->rows == NULL) return AUGREG_NO_MEMORY;
    uint8_t *copies = job->memory + (size_t)ring * size;
    int32_t done = job->down_weights.start[0];
    for (int32_t i = 0; i < job->out.height; i++) {
        const int32_t start = job->down_weights.start[i], needed = start + taps < height ? start + taps : height;
        while (done < needed) {
            const uint8_t *from[TOGETHER];
            uint8_t *to[TOGETHER];
            int count = height - done < TOGETHER ? height - done : TOGETHER;
            for (int r = 0; r < count; r++) {
                from[r] = with_margin(job, done + r, copies + (size_t)r * copy);
                to[r] = job->memory + (size_t)((done + r) % ring) * size;
            }
            columns(&job->across, from, to, count, job->in.channels);
            done += count;
        }
        for (int32_t k = 0, slot = start % ring; k < taps; k++, slot = slot + 1 < ring ? slot + 1 : 0)
            job->rows[k] = job->memory + (size_t)slot * size; /* beyond the last row any, with the weight 0 */
        row_of(&job->down, i, job->rows, out_row(job, i), job->out_bytes);
    }
    return AUGREG_OK;
}

static int rows_first(work *job) {
    const int32_t height = job->in.height, taps = 4 * job->down.blocks;
    const size_t size = (job->in_bytes + 2 * MARGIN) & ~(size_t)63, result = (job->out_bytes + 2 * MARGIN) & ~(size_t)63;
    const int narrow = job->in_bytes < CHUNK; /* then rows are read beyond their ends */
    job->memory = calloc(TOGETHER * (size + result) + (narrow ? (size_t)height * size : 0), 1);
    job->rows = malloc((size_t)taps * sizeof *job->rows);
    if (job->memory == NULL || job->rows == NULL) return AUGREG_NO_MEMORY;
    uint8_t *to[TOGETHER], *copies = job->memory + TOGETHER * (size + result);
    const uint8_t *from[TOGETHER];
    for (int r = 0; r < TOGETHER; r++) {
        from[r] = job->memory + (size_t)r * size;
        to[r] = job->memory + TOGETHER * size + (size_t)r * result;
    }
    for (int32_t y = 0; narrow && y < height; y++) memcpy(copies + (size_t)y * size, row_at(job, y), job->in_bytes);
    for (int32_t i = 0; i < job->out.height; i += TOGETHER) {
        int count = job->out.height - i < TOGETHER ? job->out.height - i : TOGETHER;
        for (int r = 0; r < count; r++) {
            for (int32_t k = 0; k < taps; k++) {
                int32_t y = job->down_weights.start[i + r] + k;
                if (y >= height) y = height - 1; /* with the weight 0 */
                job->rows[k] = narrow ? copies + (size_t)y * size : row_at(job, y);
            }
            row_of(&job->down, i + r, job->rows, job->memory + (size_t)r * size, job->in_bytes);
        }
        columns(&job->across, from, to, count, job->in.channels);
        for (int r = 0; r < count; r++) memcpy(out_row(job, i + r), to[r], job->out_bytes);
    }
    return AUGREG_OK;
}

int NAME(resize)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_resize *resize = (const augreg_resize *)op;
    const int channels = in->channels;
    work job = {.in = *in, .out = *out, .flip_y = resize->flip_y != 0};
    job.in_bytes = (size_t)in->width * (size_t)channels;
    job.out_bytes = (size_t)out->width * (size_t)channels;
    job.end = row_at(&job, in->row < 0 ? 0 : in->height - 1) + job.in_bytes;
    int status = augreg_weigh(in->width, resize->begin[1], resize->extent[1], resize->width, resize->left, resize->box_width,
                              resize->filter, in->pixel < 0, resize->flip_x, &job.across_weights);
    if (status == AUGREG_OK)
        status = augreg_weigh(in->height, resize->begin[0], resize->extent[0], resize->height, resize->top,
                              resize->box_height, resize->filter, 0, 0, &job.down_weights);
    if (status == AUGREG_OK) status = cut_pass(&job.across_weights, PIXELS(channels), channels, &job.across);
    if (status == AUGREG_OK) status = cut_pass(&job.down_weights, 1, 1, &job.down);
    if (status == AUGREG_OK) {
        int rows_lose = in->height - resize->height, columns_lose = in->width - resize->width;
        status = rows_lose > 0 && rows_lose > 2 * columns_lose ? rows_first(&job) : columns_first(&job);
    }
    free(job.rows);
    free(job.memory);
    free(job.across.at);
    free(job.down.at);
    free(job.across_weights.start);
    free(job.down_weights.start);
    return status;
}
