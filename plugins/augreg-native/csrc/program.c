/* The runner of programs. */

#include "program.h"

#include <stdlib.h>
#include <string.h>

static size_t image_bytes(const augreg_shape_of *shape) {
    return (size_t)shape->height * shape->width * shape->channels * (shape->floats ? 4 : 1);
}

/* A packed image of this shape in this memory. */
static augreg_image packed(uint8_t *data, const augreg_shape_of *shape) {
    augreg_image image = {.data = data, .height = shape->height, .width = shape->width, .channels = shape->channels,
                          .floats = shape->floats};
    image.pixel = shape->floats ? 4 : shape->channels;
    image.row = image.pixel * image.width;
    image.channel = shape->floats ? image.row * image.height : 1;
    return image;
}

static augreg_shape_of shape_of(const augreg_image *image) {
    return (augreg_shape_of){image->height, image->width, image->channels, image->floats};
}

/* Whether a kernel with these traits can read the view. */
static int readable(const augreg_image *image, int32_t traits) {
    if (image->floats) return image->pixel == 4;
    if (image->channel != 1 && image->channels > 1) return 0;
    return image->pixel == image->channels || ((traits & AUGREG_MIRRORED) && image->pixel == -image->channels);
}

static int is_packed(const augreg_image *image) {
    augreg_shape_of shape = shape_of(image);
    augreg_image other = packed(image->data, &shape);
    return image->row == other.row && image->pixel == other.pixel && image->channel == other.channel;
}

static void moved(const augreg_move *move, augreg_image *image) {
    image->data += move->top * image->row + move->left * image->pixel;
    image->height = move->height;
    image->width = move->width;
    if (move->transpose) {
        ptrdiff_t row = image->row;
        image->row = image->pixel;
        image->pixel = row;
        image->height = move->width;
        image->width = move->height;
    }
    if (move->flip_y) {
        image->data += (image->height - 1) * image->row;
        image->row = -image->row;
    }
    if (move->flip_x) {
        image->data += (image->width - 1) * image->pixel;
        image->pixel = -image->pixel;
    }
}

/* A resize and the move after it as one. The box of the move is relative to the box of the resize. */
static augreg_resize boxed(const augreg_resize *resize, const augreg_move *move) {
    augreg_resize both = *resize;
    both.top += move->top;
    both.left += move->left;
    both.box_height = move->height;
    both.box_width = move->width;
    both.flip_y = move->flip_y;
    both.flip_x = move->flip_x;
    return both;
}

/* The record at an offset, or NULL where no whole record is. */
static const augreg_op *record(const uint8_t *program, size_t bytes, size_t at) {
    if (bytes - at < sizeof(augreg_op)) return NULL;
    const augreg_op *op = (const augreg_op *)(program + at);
    if (op->code < 0 || op->code >= AUGREG_CODES || op->bytes < augreg_traits[op->code].least_bytes ||
        op->bytes % 8 != 0 || (size_t)op->bytes > bytes - at)
        return NULL;
    return op;
}

/* Whether floats are where floats may be. */
static int aligned(const augreg_image *image) {
    return !image->floats || (((uintptr_t)image->data | (uintptr_t)image->row | (uintptr_t)image->pixel |
                               (uintptr_t)image->channel) % 4 == 0);
}

/* Check all records, and that the shape at the end is that of `out`. `tail` is where the last records begin that can all
   run in place. */
static int check(const uint8_t *program, size_t bytes, const augreg_image *image, const augreg_image *out, size_t *tail) {
    augreg_shape_of shape = shape_of(image);
    if ((uintptr_t)program % 8 != 0 || !aligned(image) || !aligned(out)) return AUGREG_BAD_PROGRAM;
    *tail = 0;
    for (size_t at = 0; at < bytes;) {
        const augreg_op *op = record(program, bytes, at);
        if (op == NULL) return AUGREG_BAD_PROGRAM;
        int status = augreg_shape(op, &shape);
        if (status != AUGREG_OK) return status;
        at += (size_t)op->bytes;
        if (!(augreg_traits[op->code].traits & AUGREG_IN_PLACE)) *tail = at;
    }
    augreg_shape_of wanted = shape_of(out);
    return memcmp(&shape, &wanted, sizeof shape) == 0 && is_packed(out) ? AUGREG_OK : AUGREG_BAD_PROGRAM;
}

/* Memory for the images in between: a result goes where the image that it is made of is not. */
typedef struct {
    uint8_t *memory[2];
    size_t bytes[2];
} scratch;

/* Memory for an image of this shape, made of `current`; its data is NULL if there is none. */
static augreg_image place(scratch *between, const augreg_image *current, const augreg_shape_of *shape) {
    const uint8_t *first = between->memory[0];
    const int chosen = first != NULL && current->data >= first && current->data < first + between->bytes[0];
    const size_t bytes = image_bytes(shape);
    if (between->bytes[chosen] < bytes) {
        free(between->memory[chosen]);
        between->memory[chosen] = malloc(bytes);
        between->bytes[chosen] = between->memory[chosen] == NULL ? 0 : bytes;
    }
    return packed(between->memory[chosen], shape);
}

static int run(const augreg_table *table, const uint8_t *program, size_t bytes, const augreg_image *image,
               const augreg_image *out, size_t tail, scratch *between) {
    augreg_image current = *image;
    int own = 0; /* whether `current` may be written to */
    for (size_t at = 0; at < bytes;) {
        const augreg_op *op = record(program, bytes, at);
        at += (size_t)op->bytes;
        if (op->code == AUGREG_MOVE) {
            moved((const augreg_move *)op, &current);
            continue;
        }
        int32_t traits = augreg_traits[op->code].traits;
        augreg_resize both;
        if (op->code == AUGREG_RESIZE && at < bytes) {
            const augreg_move *next = (const augreg_move *)record(program, bytes, at);
            if (next->op.code == AUGREG_MOVE && !next->transpose) {
                both = boxed((const augreg_resize *)op, next);
                op = &both.op;
                at += (size_t)next->op.bytes;
            }
        }
        const augreg_op *first = op, *end = NULL;
        if (op->code == AUGREG_COLOR) { /* all that follow, and a normalize, in one pass */
            while (op->code == AUGREG_COLOR && at < bytes) {
                const augreg_op *next = record(program, bytes, at);
                if (next->code != AUGREG_COLOR && next->code != AUGREG_NORMALIZE) break;
                op = next;
                at += (size_t)op->bytes;
            }
            traits = augreg_traits[op->code].traits & AUGREG_IN_PLACE;
            end = (const augreg_op *)(program + at);
        }
        augreg_shape_of shape = shape_of(&current);
        if (!readable(&current, traits)) {
            const int last = at >= tail && (traits & AUGREG_IN_PLACE);
            augreg_image copy = last ? *out : place(between, &current, &shape);
            if (copy.data == NULL) return AUGREG_NO_MEMORY;
            table->copy(&current, &copy);
            current = copy;
            own = 1;
        }
        int status = augreg_shape(op, &shape);
        if (status != AUGREG_OK) return status;
        augreg_image next = current;
        if (!(traits & AUGREG_IN_PLACE) || !own || !is_packed(&current))
            next = at >= tail ? *out : place(between, &current, &shape);
        if (next.data == NULL) return AUGREG_NO_MEMORY;
        status = end != NULL ? table->color(first, end, &current, &next) : table->kernels[op->code](op, &current, &next);
        if (status != AUGREG_OK) return status;
        current = next;
        own = 1;
    }
    if (current.data != out->data) table->copy(&current, out); /* a move comes before `tail`, so no view of `out` is left */
    return AUGREG_OK;
}

int augreg_run(const augreg_table *table, const uint8_t *program, size_t bytes, const augreg_image *image,
               const augreg_image *out) {
    size_t tail;
    int status = check(program, bytes, image, out, &tail);
    if (status != AUGREG_OK) return status;
    scratch between = {{NULL, NULL}, {0, 0}};
    status = run(table, program, bytes, image, out, tail, &between);
    free(between.memory[0]);
    free(between.memory[1]);
    return status;
}
