/* Chunks: some hundred pixels of an image, a plane for each channel, small enough for the first cache.

   A chunk holds bytes, or floats with the same whole values: `floats` says which. Kernels ask for what they need. The
   arrays hold any bytes from `count` to `lanes`, which is the next multiple of 64: loops run to it, in whole vectors. */

#ifndef AUGREG_PLANES_H
#define AUGREG_PLANES_H

#include "kernels.h"

enum { AUGREG_CHUNK = 512 };

typedef struct {
    _Alignas(64) float values[AUGREG_MOST_CHANNELS][AUGREG_CHUNK];
    _Alignas(64) uint8_t bytes[AUGREG_MOST_CHANNELS][AUGREG_CHUNK];
    int32_t count, lanes, channels, floats;
} augreg_chunk;

/* Where the next chunk of a byte image begins. */
typedef struct {
    augreg_image image;
    int32_t y, x;
} augreg_reader;

augreg_reader NAME(reader)(const augreg_image *image);

/* Read the next pixels, up to a whole chunk, as bytes. `count` is 0 at the end. */
void NAME(read_chunk)(augreg_reader *reader, augreg_chunk *chunk);

/* The same values as floats, or as bytes. */
void NAME(as_floats)(augreg_chunk *chunk);
void NAME(as_bytes)(augreg_chunk *chunk);

/* Write a chunk of bytes with the channels of a pixel next to each other. */
void NAME(write_chunk)(const augreg_chunk *chunk, uint8_t *to);

/* `count` bytes through a table; `from` and `to` may be the same. */
void NAME(look_up)(const uint8_t *table, const uint8_t *from, size_t count, uint8_t *to);

#endif
