/* Chunks of an image as planes. */

#include "planes.h"

#include <string.h>

augreg_reader NAME(reader)(const augreg_image *image) {
    augreg_reader reader = {*image, 0, 0};
    if (image->row == (ptrdiff_t)image->width * image->channels && (int64_t)image->height * image->width <= INT32_MAX) {
        reader.image.width *= image->height; /* rows without gaps are one long row */
        reader.image.height = 1;
    }
    return reader;
}

static void split(const uint8_t *restrict from, augreg_chunk *restrict chunk) {
    int32_t count = chunk->count;
    chunk->lanes = (count + 63) & ~63;
    uint8_t *restrict a = chunk->bytes[0], *restrict b = chunk->bytes[1], *restrict c = chunk->bytes[2],
                      *restrict d = chunk->bytes[3];
    switch (chunk->channels) {
        case 1:
            memcpy(a, from, (size_t)count);
            break;
        case 2:
            for (int32_t i = 0; i < count; i++) {
                a[i] = from[2 * i];
                b[i] = from[2 * i + 1];
            }
            break;
        case 3:
            for (int32_t i = 0; i < count; i++) {
                a[i] = from[3 * i];
                b[i] = from[3 * i + 1];
                c[i] = from[3 * i + 2];
            }
            break;
        default:
            for (int32_t i = 0; i < count; i++) {
                a[i] = from[4 * i];
                b[i] = from[4 * i + 1];
                c[i] = from[4 * i + 2];
                d[i] = from[4 * i + 3];
            }
    }
}

void NAME(read_chunk)(augreg_reader *reader, augreg_chunk *chunk) {
    const augreg_image *image = &reader->image;
    size_t channels = (size_t)image->channels;
    chunk->channels = image->channels;
    chunk->floats = 0;
    chunk->count = 0;
    if (reader->y == image->height) return;
    const uint8_t *from = image->data + reader->y * image->row + (ptrdiff_t)reader->x * image->channels;
    if (image->width - reader->x > AUGREG_CHUNK) {
        chunk->count = AUGREG_CHUNK;
        reader->x += AUGREG_CHUNK;
        split(from, chunk);
        return;
    }
    uint8_t rows[AUGREG_CHUNK * AUGREG_MOST_CHANNELS]; /* pieces of rows, without gaps */
    while (chunk->count < AUGREG_CHUNK && reader->y < image->height) {
        int32_t room = AUGREG_CHUNK - chunk->count, left = image->width - reader->x, piece = left < room ? left : room;
        from = image->data + reader->y * image->row + (ptrdiff_t)reader->x * image->channels;
        memcpy(rows + (size_t)chunk->count * channels, from, (size_t)piece * channels);
        chunk->count += piece;
        reader->x += piece;
        if (reader->x == image->width) {
            reader->x = 0;
            reader->y++;
        }
    }
    split(rows, chunk);
}

void NAME(as_floats)(augreg_chunk *chunk) {
    if (chunk->floats) return;
    int32_t lanes = chunk->lanes;
    for (int32_t c = 0; c < chunk->channels; c++) {
        const uint8_t *restrict from = chunk->bytes[c];
        float *restrict to = chunk->values[c];
        for (int32_t i = 0; i < lanes; i++) to[i] = from[i];
    }
    chunk->floats = 1;
}

void NAME(as_bytes)(augreg_chunk *chunk) {
    if (!chunk->floats) return;
    int32_t lanes = chunk->lanes;
    for (int32_t c = 0; c < chunk->channels; c++) {
        const float *restrict from = chunk->values[c];
        uint8_t *restrict to = chunk->bytes[c];
        for (int32_t i = 0; i < lanes; i++) to[i] = (uint8_t)(int32_t)from[i];
    }
    chunk->floats = 0;
}

void NAME(write_chunk)(const augreg_chunk *restrict chunk, uint8_t *restrict to) {
    int32_t count = chunk->count;
    const uint8_t *restrict a = chunk->bytes[0], *restrict b = chunk->bytes[1], *restrict c = chunk->bytes[2],
                            *restrict d = chunk->bytes[3];
    switch (chunk->channels) {
        case 1:
            memcpy(to, a, (size_t)count);
            break;
        case 2:
            for (int32_t i = 0; i < count; i++) {
                to[2 * i] = a[i];
                to[2 * i + 1] = b[i];
            }
            break;
        case 3:
            for (int32_t i = 0; i < count; i++) {
                to[3 * i] = a[i];
                to[3 * i + 1] = b[i];
                to[3 * i + 2] = c[i];
            }
            break;
        default:
            for (int32_t i = 0; i < count; i++) {
                to[4 * i] = a[i];
                to[4 * i + 1] = b[i];
                to[4 * i + 2] = c[i];
                to[4 * i + 3] = d[i];
            }
    }
}
