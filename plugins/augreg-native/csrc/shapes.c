/* The checks of records, and the shapes of results. */

#include "program.h"
#include "weights.h"

#include <float.h>
#include <math.h>

#define MOST_VALUES ((int64_t)1 << 44) /* of one image: far beyond any memory, and no product overflows */

const augreg_traits_of augreg_traits[AUGREG_CODES] = {
    [AUGREG_MOVE] = {sizeof(augreg_move), 0},
    [AUGREG_RESIZE] = {sizeof(augreg_resize), AUGREG_MIRRORED},
    [AUGREG_PAD] = {sizeof(augreg_pad), 0},
    [AUGREG_PAINT] = {sizeof(augreg_paint), AUGREG_IN_PLACE},
    [AUGREG_NORMALIZE] = {sizeof(augreg_normalize), 0},
    [AUGREG_COLOR] = {sizeof(augreg_color), AUGREG_IN_PLACE},
    [AUGREG_WARP] = {sizeof(augreg_warp), 0},
    [AUGREG_SHARPEN] = {sizeof(augreg_sharpen), 0},
    [AUGREG_BLUR] = {sizeof(augreg_blur), 0},
    [AUGREG_MEDIAN] = {sizeof(augreg_median), 0},
    [AUGREG_CONVOLVE] = {sizeof(augreg_convolve), 0},
    [AUGREG_NOISE] = {sizeof(augreg_noise), AUGREG_IN_PLACE},
    [AUGREG_REMAP] = {sizeof(augreg_remap), 0},
    [AUGREG_FLOAT_BLUR] = {sizeof(augreg_float_blur), 0},
    [AUGREG_CLAHE] = {sizeof(augreg_clahe), 0},
    [AUGREG_NOISE_BOX] = {sizeof(augreg_noise_box), AUGREG_IN_PLACE},
    [AUGREG_GRID] = {sizeof(augreg_grid), 0},
};

/* Whether length pixels from start on lie within a side. */
static int within(int32_t start, int32_t length, int32_t side) {
    return start >= 0 && length >= 1 && (int64_t)start + length <= side;
}

/* The same for a part of a side whose ends may be within pixels; no comparison is true of what is no number. */
static int spans(double begin, double extent, int32_t side) {
    return begin >= 0.0 && extent > 0.0 && begin + extent <= side;
}

static int is_color(const augreg_color *color, const augreg_shape_of *shape) {
    int32_t colors = color->colors;
    if (shape->floats || colors < 1 || colors > shape->channels) return 0;
    switch (color->kind) {
        case AUGREG_BLEND:
            return fabs(color->base) <= 255.0 && fabs(color->amount) <= AUGREG_MOST_FACTOR;
        case AUGREG_SATURATION:
            return colors == 3 && fabs(color->amount) <= AUGREG_MOST_FACTOR;
        case AUGREG_HUE:
            return colors == 3 && color->amount >= 0.0 && color->amount <= 255.0;
        case AUGREG_TABLES:
            return (color->rows == 1 || color->rows == colors) &&
                   color->op.bytes >= (int32_t)sizeof(augreg_color) + 256 * color->rows;
        case AUGREG_MATRIX:
            return color->op.bytes >= (int32_t)sizeof(augreg_color) + 4 * colors * (colors + 1);
        case AUGREG_HSV:
            return colors == 3 && fabs(color->amount) <= 1.0 && fabs(color->base) <= 1.0 &&
                   color->op.bytes >= (int32_t)(sizeof(augreg_color) + sizeof(double)) &&
                   fabs(*(const double *)(color + 1)) <= 1.0;
        case AUGREG_CONTRAST:
            return (colors == 1 || colors == 3) && fabs(color->amount) <= AUGREG_MOST_FACTOR;
        case AUGREG_EQUALIZE:
            return 1;
        case AUGREG_AUTO_CONTRAST:
            return color->amount >= 0.0 && color->amount <= 100.0;
        default:
            return 0;
    }
}

static int is_convolve(const augreg_convolve *convolve, const augreg_shape_of *shape) {
    const augreg_tap *taps = (const augreg_tap *)(convolve + 1);
    const int64_t room = convolve->op.bytes - (int64_t)sizeof *convolve;
    const int32_t reach = convolve->reach;
    if (shape->floats || reach < 0 || reach > AUGREG_MOST_REACH || convolve->taps < 0 ||
        convolve->taps * (int64_t)sizeof *taps > room)
        return 0;
    for (int32_t k = 0; k < convolve->taps; k++)
        if (taps[k].y < -reach || taps[k].y > reach || taps[k].x < -reach || taps[k].x > reach ||
            !(fabsf(taps[k].weight) <= (float)AUGREG_MOST_FACTOR))
            return 0;
    return 1;
}

/* Whether floats can say where the pixels of an image are, and whether it can be read. */
static int has_positions(const augreg_shape_of *shape, int32_t bilinear) {
    const int32_t longest = AUGREG_LONGEST_REMAPPED;
    return !shape->floats && shape->height <= longest && shape->width <= longest && (!bilinear || shape->width >= 2);
}

/* The positions are checked too: what is no number would be no pixel. */
static int is_remap(const augreg_remap *remap, const augreg_shape_of *shape) {
    const float *field = (const float *)(remap + 1);
    const int64_t count = 2 * (int64_t)shape->height * shape->width;
    if (!has_positions(shape, remap->bilinear) || count * (int64_t)sizeof *field > remap->op.bytes - (int64_t)sizeof *remap)
        return 0;
    int finite = 1;
    for (int64_t i = 0; i < count; i++) finite &= fabsf(field[i]) <= FLT_MAX;
    return finite;
}

/* Shifts and parts that give positions, and lines that there are. */
static int is_grid(const augreg_grid *grid, const augreg_shape_of *shape) {
    const double *shifts = (const double *)(grid + 1);
    const int64_t width = shape->width, most = (grid->op.bytes - (int64_t)sizeof *grid) / 4;
    if (!has_positions(shape, grid->bilinear) || grid->lines < 2 || grid->lines > most) return 0;
    const int64_t count = 2 * (int64_t)shape->height * grid->lines;
    if (count > most || 2 * count + 3 * width > most) return 0;
    const double *parts = shifts + count;
    const int32_t *cells = (const int32_t *)(parts + width);
    int known = 1;
    for (int64_t i = 0; i < count; i++) known &= fabs(shifts[i]) <= AUGREG_MOST_SHIFT;
    for (int64_t x = 0; x < width; x++)
        known &= (parts[x] >= 0.0) & (parts[x] <= 1.0) & (cells[x] >= 0) & (cells[x] < grid->lines - 1);
    return known;
}

int augreg_shape(const augreg_op *op, augreg_shape_of *shape) {
    int64_t height = shape->height, width = shape->width;
    switch (op->code) {
        case AUGREG_MOVE: {
            const augreg_move *move = (const augreg_move *)op;
            if (!within(move->top, move->height, shape->height) || !within(move->left, move->width, shape->width))
                return AUGREG_BAD_PROGRAM;
            height = move->transpose ? move->width : move->height;
            width = move->transpose ? move->height : move->width;
            break;
        }
        case AUGREG_RESIZE: {
            const augreg_resize *resize = (const augreg_resize *)op;
            const int32_t longest = AUGREG_LONGEST_RESIZED;
            if (shape->height > longest || shape->width > longest || resize->height > longest || resize->width > longest)
                return AUGREG_BAD_PROGRAM;
            if (shape->floats || resize->filter < AUGREG_BILINEAR || resize->filter > AUGREG_LANCZOS ||
                !within(resize->top, resize->box_height, resize->height) ||
                !within(resize->left, resize->box_width, resize->width) ||
                !spans(resize->begin[0], resize->extent[0], shape->height) ||
                !spans(resize->begin[1], resize->extent[1], shape->width))
                return AUGREG_BAD_PROGRAM;
            height = resize->box_height;
            width = resize->box_width;
            break;
        }
        case AUGREG_PAD: {
            const augreg_pad *pad = (const augreg_pad *)op;
            if (pad->top < 0 || pad->bottom < 0 || pad->left < 0 || pad->right < 0) return AUGREG_BAD_PROGRAM;
            if (pad->mode < AUGREG_CONSTANT || pad->mode > AUGREG_SYMMETRIC) return AUGREG_BAD_PROGRAM;
            if (pad->mode == AUGREG_REFLECT || pad->mode == AUGREG_SYMMETRIC) {
                const int64_t rows = height - (pad->mode == AUGREG_REFLECT), columns = width - (pad->mode == AUGREG_REFLECT);
                if (pad->top > rows || pad->bottom > rows || pad->left > columns || pad->right > columns)
                    return AUGREG_BAD_PROGRAM;
            }
            height += (int64_t)pad->top + pad->bottom;
            width += (int64_t)pad->left + pad->right;
            break;
        }
        case AUGREG_PAINT: {
            const augreg_paint *paint = (const augreg_paint *)op;
            if (!within(paint->top, paint->height, shape->height) || !within(paint->left, paint->width, shape->width))
                return AUGREG_BAD_PROGRAM;
            break;
        }
        case AUGREG_NORMALIZE: {
            const augreg_normalize *normalize = (const augreg_normalize *)op;
            int64_t most = (int64_t)sizeof(augreg_normalize);
            if (normalize->tables) most += (int64_t)shape->channels * 256 * (int64_t)sizeof(float);
            if (shape->floats || op->bytes < most) return AUGREG_BAD_PROGRAM;
            shape->floats = 1;
            break;
        }
        case AUGREG_COLOR:
            if (!is_color((const augreg_color *)op, shape)) return AUGREG_BAD_PROGRAM;
            break;
        case AUGREG_WARP: {
            const augreg_warp *warp = (const augreg_warp *)op;
            if (shape->floats || warp->height < 1 || warp->width < 1 ||
                warp->sampling < AUGREG_SAMPLE_NEAREST || warp->sampling > AUGREG_SAMPLE_BICUBIC ||
                (warp->sampling == AUGREG_SAMPLE_BILINEAR && shape->width < 2))
                return AUGREG_BAD_PROGRAM;
            height = warp->height;
            width = warp->width;
            break;
        }
        case AUGREG_SHARPEN:
            if (shape->floats || !(fabs(((const augreg_sharpen *)op)->factor) <= AUGREG_MOST_FACTOR))
                return AUGREG_BAD_PROGRAM;
            break;
        case AUGREG_BLUR: {
            double sigma = ((const augreg_blur *)op)->sigma;
            if (shape->floats || !(sigma > 0.0 && sigma <= AUGREG_MOST_SIGMA)) return AUGREG_BAD_PROGRAM;
            break;
        }
        case AUGREG_MEDIAN: {
            const int32_t size = ((const augreg_median *)op)->size;
            if (shape->floats || size < 3 || size > AUGREG_MOST_MEDIAN || size % 2 == 0) return AUGREG_BAD_PROGRAM;
            break;
        }
        case AUGREG_CONVOLVE:
            if (!is_convolve((const augreg_convolve *)op, shape)) return AUGREG_BAD_PROGRAM;
            break;
        case AUGREG_REMAP:
            if (!is_remap((const augreg_remap *)op, shape)) return AUGREG_BAD_PROGRAM;
            break;
        case AUGREG_GRID:
            if (!is_grid((const augreg_grid *)op, shape)) return AUGREG_BAD_PROGRAM;
            break;
        case AUGREG_FLOAT_BLUR: {
            const augreg_float_blur *blur = (const augreg_float_blur *)op;
            const int64_t room = op->bytes - (int64_t)sizeof *blur;
            if (!shape->floats || blur->reach < 0 || blur->reach > AUGREG_MOST_REACH ||
                (2 * (int64_t)blur->reach + 1) * (int64_t)sizeof(float) > room)
                return AUGREG_BAD_PROGRAM;
            break;
        }
        case AUGREG_NOISE_BOX: {
            const augreg_noise_box *box = (const augreg_noise_box *)op;
            if (!within(box->top, box->height, shape->height) || !within(box->left, box->width, shape->width) ||
                (box->normal && !shape->floats))
                return AUGREG_BAD_PROGRAM;
            break;
        }
        case AUGREG_CLAHE: {
            const augreg_clahe *clahe = (const augreg_clahe *)op;
            if (shape->floats || (shape->channels != 1 && shape->channels != 3) || clahe->rows < 1 ||
                clahe->columns < 1 || (int64_t)clahe->rows * clahe->columns > AUGREG_MOST_TILES ||
                height > INT32_MAX - AUGREG_MOST_TILES || width > INT32_MAX - AUGREG_MOST_TILES ||
                !(clahe->clip >= 0.0 && clahe->clip <= 1e6))
                return AUGREG_BAD_PROGRAM;
            break;
        }
        case AUGREG_NOISE: {
            const augreg_noise *noise = (const augreg_noise *)op;
            int known = noise->kind >= AUGREG_GAUSSIAN && noise->kind <= AUGREG_ISO;
            if (shape->floats || !known || !(fabsf(noise->amounts[0]) <= AUGREG_MOST_NOISE) ||
                !(fabsf(noise->amounts[1]) <= AUGREG_MOST_NOISE))
                return AUGREG_BAD_PROGRAM;
            break;
        }
        default:
            return AUGREG_BAD_PROGRAM;
    }
    if (height > INT32_MAX || width * shape->channels > INT32_MAX || height * width > MOST_VALUES / AUGREG_MOST_CHANNELS)
        return AUGREG_BAD_PROGRAM;
    shape->height = (int32_t)height;
    shape->width = (int32_t)width;
    return AUGREG_OK;
}
