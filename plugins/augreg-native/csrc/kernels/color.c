/* Color ops on chunks of an image, any number of them in one pass, with the bytes of Pillow.

   Pillow blends in single precision and truncates, so the ops here do the same sums in the same order; its hue goes through
   bytes of hue, saturation and value. Values are whole numbers from 0 to 255 between two ops. This file is compiled
   without signed zeros and infinities (see CMakeLists.txt), so that minima and maxima are single instructions: no
   operand here is infinite, because augreg_shape refuses factors beyond AUGREG_MOST_FACTOR. */

#include "color.h"
#include "floats.h"
#include "planes.h"

#include <string.h>

static inline float whole(float value) { return (float)(int32_t)value; }
static inline float truncated(float value) { return whole(least(most(value, 0.0f), 255.0f)); }
/* The sum is exact: it is below 2^24. */
static inline float luma(float r, float g, float b) {
    return whole((r * 19595.0f + g * 38470.0f + b * 7471.0f + 32768.0f) * (1.0f / 65536.0f));
}

static void blend(float *restrict plane, int32_t lanes, float base, float factor) {
    for (int32_t i = 0; i < lanes; i++) plane[i] = truncated(base + factor * (plane[i] - base));
}

/* The luma of bytes, in the place of all three. */
static void make_gray(uint8_t *restrict red, uint8_t *restrict green, uint8_t *restrict blue, int32_t lanes) {
    for (int32_t i = 0; i < lanes; i++) red[i] = (uint8_t)((red[i] * 19595u + green[i] * 38470u + blue[i] * 7471u + 32768u) >> 16);
    memcpy(green, red, (size_t)lanes);
    memcpy(blue, red, (size_t)lanes);
}

static void saturate(float *restrict red, float *restrict green, float *restrict blue, int32_t lanes, float factor) {
    for (int32_t i = 0; i < lanes; i++) {
        float r = red[i], g = green[i], b = blue[i], gray = luma(r, g, b);
        red[i] = truncated(gray + factor * (r - gray));
        green[i] = truncated(gray + factor * (g - gray));
        blue[i] = truncated(gray + factor * (b - gray));
    }
}

/* A color of hue, saturation and value: (value - value * saturation * share) / 255, rounded, where the share runs from 0
   to 1 in 85ths. All terms are whole numbers below 2^23, and no result lies halfway between two bytes. */
static inline float mixed(float full, float lost, float share) {
    return whole((full - lost * least(most(share, 0.0f), 85.0f)) * (1.0f / 21675.0f));
}

static void shift_hue(float *restrict red, float *restrict green, float *restrict blue, int32_t lanes, float steps) {
    for (int32_t i = 0; i < lanes; i++) {
        float r = red[i], g = green[i], b = blue[i];
        float value = most(most(r, g), b), chroma = value - least(least(r, g), b);
        float middle = most(least(r, g), least(most(r, g), b));
        float part = (value - middle) / (chroma > 0.0f ? chroma : 1.0f);
        /* the sixth of the circle, in steps of 2, and its place there. Every rounding from here to the byte of the hue
           matters: where the hue is a whole byte, Pillow truncates it to that byte or to the one before */
        int of_red = r == value, of_green = g == value;
        float sixth = of_red ? 1.0f : of_green ? 3.0f : 5.0f;
        float forward = of_red ? g - b : of_green ? b - r : r - g;
        float place = (forward >= 0.0f ? sixth - part : sixth - 2.0f + part) / 6.0f;
        place = place < 0.0f ? place + 1.0f : place;
        float hue = 2.0f * (whole(place * 255.0f) + steps);
        hue = hue >= 512.0f ? hue - 512.0f : hue; /* Pillow's hue has 256 steps, and white is 255 in both directions */
        float saturation = whole(chroma * 255.0f / most(value, 1.0f));
        float full = value * 21675.0f + 10837.5f, lost = value * saturation;
        red[i] = mixed(full, lost, 170.0f - __builtin_fabsf(hue - 255.0f));
        green[i] = mixed(full, lost, __builtin_fabsf(hue - 170.0f) - 85.0f);
        blue[i] = mixed(full, lost, __builtin_fabsf(hue - 340.0f) - 85.0f);
    }
}

static inline float unit(float value) { return least(most(value, 0.0f), 1.0f); }

/* The largest integer that is not above, for numbers below 2^31. */
static inline float floored(float value) {
    float towards_zero = whole(value);
    return towards_zero - (towards_zero > value ? 1.0f : 0.0f);
}

/* The channel of a hue in sixths of the circle, whose sixths begin at `offset`. */
static inline float of_hue(float value, float chroma, float turned, float offset) {
    float place = turned + offset;
    place -= place >= 6.0f ? 6.0f : 0.0f;
    return value - unit(least(place, 4.0f - place)) * chroma;
}

/* Hue, saturation and value on colors from 0 to 1, rounded once: what augreg.backends.hsv does, in the same order. */
static void shift_hsv(float *restrict red, float *restrict green, float *restrict blue, int32_t lanes, double shift,
                      float saturation, float more) {
    const float scale = (float)(1.0 / 255.0), hue = (float)shift;
    if (shift != 0.0) {
        for (int32_t i = 0; i < lanes; i++) {
            float r = red[i] * scale, g = green[i] * scale, b = blue[i] * scale;
            float value = most(most(r, g), b), chroma = value - least(least(r, g), b);
            int of_red = r == value, of_green = g == value;
            float forward = of_red ? g - b : of_green ? b - r : r - g, sixth = of_red ? 0.0f : of_green ? 2.0f : 4.0f;
            float turned = forward / (chroma > 0.0f ? chroma : 1.0f);
            turned = (turned + sixth) / 6.0f + hue;
            turned = (turned - floored(turned)) * 6.0f;
            red[i] = of_hue(value, chroma, turned, 5.0f);
            green[i] = of_hue(value, chroma, turned, 3.0f);
            blue[i] = of_hue(value, chroma, turned, 1.0f);
        }
    } else {
        for (int32_t i = 0; i < lanes; i++) red[i] *= scale, green[i] *= scale, blue[i] *= scale;
    }
    for (int32_t i = 0; i < lanes; i++) {
        float r = most(red[i], 0.0f), g = most(green[i], 0.0f), b = most(blue[i], 0.0f);
        float value = most(most(r, g), b), chroma = value - least(least(r, g), b);
        int colored = chroma > 0.0f;
        float safe = colored ? chroma : 1.0f;
        float share = colored ? unit(chroma / (colored ? value : 1.0f) + saturation) : 0.0f;
        float full = unit(value + more);
        red[i] = rounded(full * (1.0f - share * ((value - r) / safe)) * 255.0f);
        green[i] = rounded(full * (1.0f - share * ((value - g) / safe)) * 255.0f);
        blue[i] = rounded(full * (1.0f - share * ((value - b) / safe)) * 255.0f);
    }
}

static inline float byte(float sum) { return rounded(least(most(sum, 0.0f), 255.0f)); }

/* Colors that change places or become one value, if that is all that a matrix does. Returns whether. */
static int rearranged(const float *rows, int32_t colors, augreg_chunk *chunk) {
    int32_t sources[AUGREG_MOST_CHANNELS];
    for (int32_t c = 0; c < colors; c++) {
        const float *row = rows + c * (colors + 1);
        sources[c] = -1;
        for (int32_t source = 0; source < colors; source++) {
            float weight = row[1 + source];
            if (weight == 0.0f) continue;
            if (weight != 1.0f || sources[c] >= 0 || row[0] != 0.0f) return 0;
            sources[c] = source;
        }
    }
    uint8_t before[AUGREG_MOST_CHANNELS][AUGREG_CHUNK];
    NAME(as_bytes)(chunk);
    memcpy(before, chunk->bytes, sizeof before);
    for (int32_t c = 0; c < colors; c++) {
        if (sources[c] < 0)
            memset(chunk->bytes[c], (int32_t)byte(rows[c * (colors + 1)]), (size_t)chunk->lanes);
        else
            memcpy(chunk->bytes[c], before[sources[c]], (size_t)chunk->lanes);
    }
    return 1;
}

/* Each color becomes a sum of products, added up in the order of the colors and rounded, halves to the even byte. */
static void mix(const float *rows, int32_t colors, augreg_chunk *chunk) {
    if (rearranged(rows, colors, chunk)) return;
    float mixed[AUGREG_MOST_CHANNELS][AUGREG_CHUNK];
    int32_t lanes = chunk->lanes;
    NAME(as_floats)(chunk);
    for (int32_t c = 0; c < colors; c++, rows += colors + 1) {
        float *restrict sum = mixed[c];
        for (int32_t i = 0; i < lanes; i++) sum[i] = rows[0];
        for (int32_t source = 0; source < colors; source++) {
            const float *restrict from = chunk->values[source];
            float weight = rows[1 + source];
            for (int32_t i = 0; i < lanes; i++) sum[i] += from[i] * weight;
        }
        for (int32_t i = 0; i < lanes; i++) sum[i] = byte(sum[i]);
    }
    for (int32_t c = 0; c < colors; c++) memcpy(chunk->values[c], mixed[c], (size_t)lanes * sizeof(float));
}

static void apply(const augreg_color *stage, augreg_chunk *chunk) {
    const uint8_t *tables = (const uint8_t *)(stage + 1);
    float(*values)[AUGREG_CHUNK] = chunk->values;
    int32_t colors = stage->colors;
    if (stage->kind == AUGREG_TABLES) {
        NAME(as_bytes)(chunk);
        for (int32_t c = 0; c < colors; c++)
            NAME(look_up)(tables + (stage->rows > 1 ? 256 * c : 0), chunk->bytes[c], (size_t)chunk->lanes, chunk->bytes[c]);
        return;
    }
    if (stage->kind == AUGREG_MATRIX) {
        mix((const float *)(stage + 1), colors, chunk);
        return;
    }
    if (stage->kind == AUGREG_SATURATION && stage->amount == 0.0) {
        NAME(as_bytes)(chunk);
        make_gray(chunk->bytes[0], chunk->bytes[1], chunk->bytes[2], chunk->lanes);
        return;
    }
    NAME(as_floats)(chunk);
    if (stage->kind == AUGREG_BLEND) {
        for (int32_t c = 0; c < colors; c++) blend(values[c], chunk->lanes, (float)stage->base, (float)stage->amount);
    } else if (stage->kind == AUGREG_SATURATION) {
        saturate(values[0], values[1], values[2], chunk->lanes, (float)stage->amount);
    } else if (stage->kind == AUGREG_HUE) {
        shift_hue(values[0], values[1], values[2], chunk->lanes, (float)stage->amount);
    } else if (stage->kind == AUGREG_HSV) {
        float more = (float)*(const double *)(stage + 1);
        shift_hsv(values[0], values[1], values[2], chunk->lanes, stage->amount, (float)stage->base, more);
    }
}

/* The sum of the luma of the pixels. */
static int64_t luma_sum(augreg_chunk *chunk, int32_t colors) {
    int32_t sum = 0;
    if (colors == 1) {
        NAME(as_bytes)(chunk);
        for (int32_t i = 0; i < chunk->count; i++) sum += chunk->bytes[0][i];
        return sum;
    }
    NAME(as_floats)(chunk);
    const float *red = chunk->values[0], *green = chunk->values[1], *blue = chunk->values[2];
    for (int32_t i = 0; i < chunk->count; i++) sum += (int32_t)luma(red[i], green[i], blue[i]);
    return sum;
}

static void normalize(const augreg_normalize *record, augreg_chunk *chunk, const augreg_image *out, size_t at) {
    if (record->tables)
        NAME(as_bytes)(chunk);
    else
        NAME(as_floats)(chunk);
    int32_t count = chunk->count;
    for (int32_t c = 0; c < chunk->channels; c++) {
        float *restrict to = (float *)(out->data + c * out->channel) + at;
        if (record->tables) {
            const uint8_t *from = chunk->bytes[c];
            const float *table = (const float *)(record + 1) + 256 * c;
            for (int32_t i = 0; i < count; i++) to[i] = table[from[i]];
        } else {
            const float *restrict from = chunk->values[c];
            double scale = record->scale[c], offset = record->offset[c];
            for (int32_t i = 0; i < count; i++) to[i] = (float)((double)from[i] * scale + offset);
        }
    }
}

static const augreg_op *following(const augreg_op *op) { return (const augreg_op *)((const uint8_t *)op + op->bytes); }

static int is_measured(const augreg_op *op) {
    return op->code == AUGREG_COLOR && ((const augreg_color *)op)->kind >= AUGREG_CONTRAST;
}

/* Make the result by one table, if the stage is one for all channels: then pixels need not be taken apart. Returns whether. */
static int made_by_table(const augreg_color *stage, const augreg_image *source, const augreg_image *out) {
    uint8_t blended[256];
    const uint8_t *table = (const uint8_t *)(stage + 1);
    if (stage->colors != source->channels) return 0;
    if (stage->kind == AUGREG_BLEND) {
        float values[256];
        for (int32_t i = 0; i < 256; i++) values[i] = (float)i;
        blend(values, 256, (float)stage->base, (float)stage->amount);
        for (int32_t i = 0; i < 256; i++) blended[i] = (uint8_t)(int32_t)values[i];
        table = blended;
    } else if (stage->kind != AUGREG_TABLES || stage->rows > 1) {
        return 0;
    }
    size_t row = (size_t)source->width * (size_t)source->channels, height = (size_t)source->height;
    if (source->row == (ptrdiff_t)row) {
        row *= height;
        height = 1;
    }
    for (size_t y = 0; y < height; y++)
        NAME(look_up)(table, source->data + (ptrdiff_t)y * source->row, row, out->data + y * row);
    return 1;
}

/* What a stage that depends on the image becomes once the image is measured. */
typedef struct {
    augreg_color stage;
    uint8_t tables[AUGREG_MOST_CHANNELS * 256];
} resolved;

static void resolve(const augreg_color *stage, int64_t pixels, int64_t sum, augreg_histograms *counts, resolved *found) {
    found->stage = *stage;
    if (stage->kind == AUGREG_CONTRAST) {
        found->stage.kind = AUGREG_BLEND;
        found->stage.base = (double)(int32_t)((double)sum / (double)pixels + 0.5);
        return;
    }
    found->stage.kind = AUGREG_TABLES;
    found->stage.rows = stage->colors;
    for (int32_t c = 0; c < stage->colors; c++) {
        if (stage->kind == AUGREG_EQUALIZE)
            NAME(equalized)(counts->of[c], found->tables + 256 * c);
        else
            NAME(stretched)(counts->of[c], stage->amount, found->tables + 256 * c);
    }
}

int NAME(color)(const augreg_op *first, const augreg_op *end, const augreg_image *in, const augreg_image *out) {
    augreg_chunk chunk;
    augreg_histograms counts;
    resolved measured;
    const augreg_op *begin = first, *pending = NULL; /* the stage that `measured` replaces */
    augreg_image source = *in;
    size_t pixels = (size_t)in->height * (size_t)in->width, channels = (size_t)in->channels;
    /* bytes between two passes go where the result will be. A result of floats covers its last quarter last of all, and
       there only pixels that were read */
    uint8_t *between = out->floats ? out->data + 3 * pixels * channels : out->data;
    for (;;) {
        const augreg_op *stop = pending == begin ? following(begin) : begin;
        while (stop != end && stop->code == AUGREG_COLOR && !is_measured(stop)) stop = following(stop);
        int measuring = stop != end && is_measured(stop), writing = !measuring || stop != begin;
        const augreg_color *wanted = (const augreg_color *)stop;
        if (!measuring && !out->floats && following(begin) == stop &&
            made_by_table(pending == begin ? &measured.stage : (const augreg_color *)begin, &source, out))
            return AUGREG_OK;
        int64_t sum = 0;
        if (measuring && wanted->kind != AUGREG_CONTRAST) NAME(clear_histograms)(&counts, wanted->colors);
        augreg_reader reader = NAME(reader)(&source);
        for (size_t at = 0; at < pixels; at += (size_t)chunk.count) {
            NAME(read_chunk)(&reader, &chunk);
            for (const augreg_op *op = begin; op != stop; op = following(op))
                apply(op == pending ? &measured.stage : (const augreg_color *)op, &chunk);
            if (!measuring && out->floats) {
                normalize((const augreg_normalize *)stop, &chunk, out, at);
                continue;
            }
            if (measuring && wanted->kind == AUGREG_CONTRAST) sum += luma_sum(&chunk, wanted->colors);
            if (writing || wanted->kind != AUGREG_CONTRAST) NAME(as_bytes)(&chunk);
            if (measuring && wanted->kind != AUGREG_CONTRAST) NAME(count_values)(&chunk, &counts, wanted->colors);
            if (writing) NAME(write_chunk)(&chunk, between + at * channels);
        }
        if (!measuring) return AUGREG_OK;
        if (writing) {
            source.data = between;
            source.pixel = in->channels;
            source.row = (ptrdiff_t)in->width * in->channels;
        }
        if (wanted->kind != AUGREG_CONTRAST) NAME(sum_histograms)(&counts, wanted->colors);
        resolve(wanted, (int64_t)pixels, sum, &counts, &measured);
        begin = pending = stop;
    }
}
