/* Programs: lists of ops on one image, run in one call.

   A program is a sequence of records in one block of memory. Each begins with `augreg_op`, which has the code of the op
   and the size of the record in bytes, a multiple of 8. The fields of the op follow, in the struct of that op below. All
   integers have 32 bits. The Python side is augreg_native/program.py: a function for each kind of op packs its record.

   To add an op:
     1. here: a code in `enum augreg_code` (before AUGREG_CODES) and a struct of its fields;
     2. shapes.c: a case in `augreg_shape`, which checks the fields and computes the shape of the result, and its entry
        in `augreg_traits`;
     3. kernels/NAME.c: the kernel; kernels/kernels.h: its declaration; kernels/table.c: its entry;
     4. CMakeLists.txt: the source, in KERNEL_SOURCES;
     5. augreg_native/program.py: a function that packs the record, in ENCODERS.

   Images are bytes (height x width x channels, the channels of a pixel next to each other) or, after a normalize, floats
   (a plane for each channel). The runner (program.c) gives a kernel only images for which these hold:
     - `in` and `out` have the shapes that `augreg_shape` accepted and computed, and every size is at least 1; a row has at most
       INT32_MAX values, so that 32 bits count them;
     - `out` is packed: rows without gaps (bytes), rows and planes without gaps (floats);
     - the pixels of a row of `in` are next to each other (bytes: pixel = channels, channel = 1; floats: pixel = 4), and
       `row` is any number of bytes, also negative. Only with the trait AUGREG_MIRRORED may `pixel` be negative as well;
     - `in` and `out` do not overlap, except with the trait AUGREG_IN_PLACE: then they may be the same image.
   A kernel writes all of `out`, and nothing else. It has no global state, and runs without Python's lock. */

#ifndef AUGREG_PROGRAM_H
#define AUGREG_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

enum augreg_code {
    AUGREG_MOVE,
    AUGREG_RESIZE,
    AUGREG_PAD,
    AUGREG_PAINT,
    AUGREG_NORMALIZE,
    AUGREG_COLOR,
    AUGREG_WARP,
    AUGREG_SHARPEN,
    AUGREG_BLUR,
    AUGREG_MEDIAN,
    AUGREG_CONVOLVE,
    AUGREG_NOISE,
    AUGREG_REMAP,
    AUGREG_FLOAT_BLUR,
    AUGREG_CLAHE,
    AUGREG_NOISE_BOX,
    AUGREG_GRID,
    AUGREG_CODES, /* the number of codes */
};

/* What a kernel returns. */
enum augreg_status {
    AUGREG_OK,
    AUGREG_BAD_PROGRAM, /* a record that the Python side does not make, or an image of another shape than it said */
    AUGREG_NO_MEMORY,
};

typedef struct {
    int32_t code, bytes;
} augreg_op;

/* Cut out a box, then transpose it, then reverse its rows, then its columns. The runner makes a view of it. */
typedef struct {
    augreg_op op;
    int32_t top, left, height, width;
    int32_t transpose, flip_y, flip_x, unused;
} augreg_move;

enum augreg_filter { AUGREG_BILINEAR, AUGREG_BICUBIC, AUGREG_LANCZOS };

/* Resize to `height` x `width`, antialiased, in the order and with the rounding of docs/backends.md. What is resized is the
   `extent` of rows and columns from `begin` on, within the image and not always whole pixels. A box of the result, mirrored if
   asked, is made alone: the runner fills in `top` .. `flip_x` from a move that follows. */
typedef struct {
    augreg_op op;
    int32_t height, width, filter;
    int32_t top, left, box_height, box_width, flip_y, flip_x;
    int32_t unused;
    double begin[2], extent[2];
} augreg_resize;

#define AUGREG_MOST_CHANNELS 4

enum augreg_border { AUGREG_CONSTANT, AUGREG_EDGE, AUGREG_REFLECT, AUGREG_SYMMETRIC };

/* Add a border. For AUGREG_CONSTANT of one color: `fill` for bytes, `float_fill` for floats; otherwise of the image's own
   pixels, with or without the outermost ones, and then no wider than the image has such pixels. */
typedef struct {
    augreg_op op;
    int32_t top, bottom, left, right;
    float float_fill[AUGREG_MOST_CHANNELS];
    uint8_t fill[AUGREG_MOST_CHANNELS];
    int32_t mode;
} augreg_pad;

/* Paint a box in one color. */
typedef struct {
    augreg_op op;
    int32_t top, left, height, width;
    float float_fill[AUGREG_MOST_CHANNELS];
    uint8_t fill[AUGREG_MOST_CHANNELS];
    int32_t unused;
} augreg_paint;

/* Bytes to floats: (float)(value * scale[c] + offset[c]), in double precision and rounded once; or, with `tables`, an
   entry of the table of the channel: channels x 256 floats after this struct. */
typedef struct {
    augreg_op op;
    int32_t tables, unused;
    double scale[AUGREG_MOST_CHANNELS], offset[AUGREG_MOST_CHANNELS];
} augreg_normalize;

/* What a color op does; from AUGREG_CONTRAST on it depends on the image as a whole. */
enum augreg_color_kind {
    AUGREG_BLEND,      /* base + amount * (value - base) */
    AUGREG_SATURATION, /* the same with the luma of the pixel as base; of three colors */
    AUGREG_HUE,        /* the hue shifted by amount / 256 of the circle, 0 to 255; of three colors */
    AUGREG_TABLES,     /* `rows` x 256 bytes after this struct: a table for all colors (rows = 1) or for each */
    AUGREG_MATRIX,     /* a row for each of the colors after this struct: a sum, and a weight for each color, as floats */
    AUGREG_HSV,        /* hue, saturation and value shifted by amount, base, and a double after this struct; of three colors */
    AUGREG_CONTRAST,   /* the same as AUGREG_BLEND with the mean luma as base; of one or three colors */
    AUGREG_EQUALIZE,
    AUGREG_AUTO_CONTRAST, /* leaving out `amount` percent of the pixels at each end */
    AUGREG_COLOR_KINDS,
};

#define AUGREG_MOST_FACTOR 1e30

/* A color op on the first `colors` channels of a byte image. The runner gives all that follow each other, and a normalize
   after them, to one kernel, which makes them in one pass where it can. */
typedef struct {
    augreg_op op;
    int32_t kind, colors, rows, unused;
    double base, amount;
} augreg_color;

enum augreg_sampling { AUGREG_SAMPLE_NEAREST, AUGREG_SAMPLE_BILINEAR, AUGREG_SAMPLE_BICUBIC };

/* Read a byte image through a map of the plane: matrix is that of the op Warp, and `affine` says that its last two numbers are
   zero. Bilinear needs a width of 2 at least. Pixels outside get `fill`. */
typedef struct {
    augreg_op op;
    int32_t height, width, sampling, affine;
    double matrix[8];
    uint8_t fill[AUGREG_MOST_CHANNELS];
    int32_t unused;
} augreg_warp;

/* smooth + factor * (value - smooth), where smooth is the 3x3 kernel [1 1 1; 1 5 1; 1 1 1] / 13; the border stays. */
typedef struct {
    augreg_op op;
    double factor;
} augreg_sharpen;

/* A Gaussian as three box filters along each side, each with weights of 1 / (2 radius + 1) and less at its ends. */
typedef struct {
    augreg_op op;
    double sigma;
} augreg_blur;

#define AUGREG_MOST_SIGMA 100.0

/* The median of the square of this odd side around each pixel; edges are repeated. */
typedef struct {
    augreg_op op;
    int32_t size, unused;
} augreg_median;

#define AUGREG_MOST_MEDIAN 255

/* A neighbor of a pixel, `y` rows below and `x` columns to the right of it, and its weight. */
typedef struct {
    int32_t y, x;
    float weight;
    int32_t unused;
} augreg_tap;

/* The sum of neighbors, at most `reach` rows and columns away, times their weights, rounded; edges are repeated. `taps` of
   them, of augreg_tap, follow this struct. */
typedef struct {
    augreg_op op;
    int32_t reach, taps;
} augreg_convolve;

#define AUGREG_MOST_REACH 32768

#define AUGREG_MOST_NOISE 1e6f

enum augreg_noise_kind { AUGREG_GAUSSIAN, AUGREG_SHOT, AUGREG_ISO };

/* Noise of this key, with the amounts of the op Noise, already as floats. */
typedef struct {
    augreg_op op;
    int32_t kind, unused;
    uint64_t key;
    float amounts[2];
} augreg_noise;

/* Read a byte image at positions, in rows and columns from the corner of the first pixel: the rows of all pixels and then their
   columns follow this struct, as floats. Nearest, or bilinear, which needs a width of 2 at least. Outside there is `fill`. No side is
   longer than AUGREG_LONGEST_REMAPPED. */
typedef struct {
    augreg_op op;
    int32_t bilinear;
    uint8_t fill[AUGREG_MOST_CHANNELS];
} augreg_remap;

#define AUGREG_LONGEST_REMAPPED (1 << 24) /* up to here a float is every whole number */

/* The same at positions shifted by a field that is bilinear between lines. After this struct: for rows and then for columns, for
   each row of the image, its shift on each of the `lines`; for each pixel of a row, how far it lies between two lines, from 0 to 1;
   all these as doubles; and the number of the line before each pixel, as int32_t. */
typedef struct {
    augreg_op op;
    int32_t bilinear;
    uint8_t fill[AUGREG_MOST_CHANNELS];
    int32_t lines, unused;
} augreg_grid;

#define AUGREG_MOST_SHIFT 1e9

/* Convolve an image of floats along both sides with 2 reach + 1 weights, floats which follow this struct. Edges are repeated, or
   the image is mirrored there, as often as the weights reach. */
typedef struct {
    augreg_op op;
    int32_t reach, mirrored;
} augreg_float_blur;

/* Equalize the luma of one or three colors in tiles, `rows` x `columns` of them, with a limit of `clip` to the slope. */
typedef struct {
    augreg_op op;
    int32_t rows, columns;
    double clip;
} augreg_clahe;

#define AUGREG_MOST_TILES 4096 /* in all */

/* Fill a box with noise of this key: uniform from black to white, or standard normal, for floats only. */
typedef struct {
    augreg_op op;
    int32_t top, left, height, width;
    int32_t normal, unused;
    uint64_t key;
} augreg_noise_box;

/* An image, or a view of one. Strides are in bytes. */
typedef struct {
    uint8_t *data;
    ptrdiff_t row, pixel, channel;
    int32_t height, width, channels, floats;
} augreg_image;

typedef struct {
    int32_t height, width, channels, floats;
} augreg_shape_of;

/* Each kernel takes the record, the image, and where to put the result. */
typedef int augreg_kernel(const augreg_op *op, const augreg_image *in, const augreg_image *out);

/* The kernel for color ops gets the records from `first` to before `end`: color ops, and then at most one normalize. */
typedef int augreg_color_kernel(const augreg_op *first, const augreg_op *end, const augreg_image *in,
                                const augreg_image *out);

enum augreg_trait {
    AUGREG_IN_PLACE = 1,  /* in and out may be the same image; the shape stays */
    AUGREG_MIRRORED = 2,  /* in may have a negative `pixel` (bytes only) */
};

/* By code: the smallest size of a record, and the traits. */
typedef struct {
    int32_t least_bytes, traits;
} augreg_traits_of;
extern const augreg_traits_of augreg_traits[AUGREG_CODES];

/* Check a record whose size is at least `least_bytes` for an image of this shape, and change the shape to the result's. */
int augreg_shape(const augreg_op *op, augreg_shape_of *shape);

/* The kernels of one instruction set. `copy` packs any view. */
typedef struct {
    const char *name;
    augreg_kernel *const *kernels;
    void (*copy)(const augreg_image *in, const augreg_image *out);
    augreg_color_kernel *color;
} augreg_table;

/* The fastest table that this processor runs, or the one of this name; NULL if there is none of the name. */
const augreg_table *augreg_choose(const char *name);

/* Run a program. `out` is packed. */
int augreg_run(const augreg_table *table, const uint8_t *program, size_t bytes, const augreg_image *image,
               const augreg_image *out);

#endif
