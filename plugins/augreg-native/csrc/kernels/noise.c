/* Sensor noise on bytes: the sums of the core, in single precision and in the same order. */

#include "floats.h"
#include "normal.h"

#include <math.h>
#include <string.h>

static const float WHITE = 1.0f / 255.0f;

static inline uint8_t byte(float value) { return (uint8_t)(int32_t)rounded(least(most(value * 255.0f, 0.0f), 255.0f)); }

static void gaussian(const uint8_t *from, const float *restrict normal, int64_t count, float std, uint8_t *to) {
    for (int64_t i = 0; i < count; i++) to[i] = byte(from[i] * WHITE + std * normal[i]);
}

static void shot(const uint8_t *from, const float *restrict normal, int64_t count, float photons, uint8_t *to) {
    for (int64_t i = 0; i < count; i++) {
        float mean = from[i] * WHITE * photons, n = normal[i];
        float counted = most(rounded(mean + sqrtf(mean) * n + (n * n - 1.0f) * (1.0f / 6.0f)), 0.0f);
        to[i] = byte(mean == 0.0f ? 0.0f : counted / photons);
    }
}

/* Pixels, each with one number for its grain and one for each channel. A constant number of channels makes vectors of it. */
static inline __attribute__((always_inline)) void iso(const uint8_t *from, const float *restrict normal, int64_t count,
                                                      const int32_t channels, const float *amounts, uint8_t *to) {
    uint8_t found[AUGREG_PAIRS + 8]; /* as there are more numbers than values */
    float grain = amounts[0], color = amounts[1];
    for (int64_t i = 0; i < count; i++) {
        for (int32_t c = 0; c < channels; c++) {
            float value = from[i * channels + c] * WHITE, own = normal[i * (channels + 1) + 1 + c];
            found[i * channels + c] = byte(value + grain * sqrtf(value) * normal[i * (channels + 1)] + color * own);
        }
    }
    memcpy(to, found, (size_t)(count * channels));
}

static void noisy(const augreg_noise *noise, const uint8_t *from, const float *normal, int64_t count, int32_t channels,
                  uint8_t *to) {
    if (noise->kind == AUGREG_GAUSSIAN)
        gaussian(from, normal, count, noise->amounts[0], to);
    else if (noise->kind == AUGREG_SHOT)
        shot(from, normal, count, noise->amounts[0], to);
    else if (channels == 3)
        iso(from, normal, count, 3, noise->amounts, to);
    else
        iso(from, normal, count, channels, noise->amounts, to);
}

/* Numbers of the field that come one after the other, and what they are used for: whole pixels, or values one by one. */
typedef struct {
    float numbers[AUGREG_PAIRS + 8];
    int32_t kept;  /* numbers at the beginning that are not used yet */
    int64_t pixel; /* the first that they are for */
} stream;

int NAME(noise)(const augreg_op *op, const augreg_image *in, const augreg_image *out) {
    const augreg_noise *noise = (const augreg_noise *)op;
    uint8_t *bytes = out->data;
    int64_t pixels = (int64_t)in->height * in->width;
    size_t row = (size_t)in->width * (size_t)in->channels;
    if (in->data != out->data)
        for (int32_t y = 0; y < in->height; y++) memcpy(bytes + (size_t)y * row, in->data + y * in->row, row);
    /* values one by one, each with a number of its own, are pixels of one channel */
    int32_t channels = noise->kind == AUGREG_ISO ? in->channels : 1, width = noise->kind == AUGREG_ISO ? channels + 1 : 1;
    if (noise->kind != AUGREG_ISO) pixels *= in->channels;
    int64_t total = pixels * width, half = (total + 1) / 2;
    /* the pixel that begins with the last cosines ends with the first sines */
    int32_t begun = (int32_t)(half % width), missing = begun ? width - begun : 0;
    float across[AUGREG_MOST_CHANNELS + 1];
    stream first = {.kept = 0, .pixel = 0}, second = {.kept = 0, .pixel = half / width + (begun > 0)};
    for (int64_t start = 0; start < half; start += AUGREG_PAIRS) {
        int32_t count = half - start < AUGREG_PAIRS ? (int32_t)(half - start) : AUGREG_PAIRS;
        NAME(normal_pairs)(noise->key, (uint64_t)half, (uint64_t)start, count, first.numbers + first.kept,
                           second.numbers + second.kept);
        int32_t fresh[2] = {count, half + start + count > total ? count - 1 : count};
        for (int32_t k = 0; k < 2; k++) {
            stream *numbers = k ? &second : &first;
            int32_t have = numbers->kept + fresh[k], used = 0;
            if (k == 1 && start == 0 && missing) {
                int32_t some = missing < have ? missing : have;
                memcpy(across + begun, numbers->numbers, (size_t)some * sizeof(float));
                used = some;
            }
            int32_t whole = (have - used) / width;
            noisy(noise, bytes + numbers->pixel * channels, numbers->numbers + used, whole, channels,
                  bytes + numbers->pixel * channels);
            numbers->pixel += whole;
            used += whole * width;
            numbers->kept = have - used;
            memmove(numbers->numbers, numbers->numbers + used, (size_t)numbers->kept * sizeof(float));
        }
    }
    if (begun) {
        memcpy(across, first.numbers, (size_t)begun * sizeof(float));
        noisy(noise, bytes + half / width * channels, across, 1, channels, bytes + half / width * channels);
    }
    return AUGREG_OK;
}
