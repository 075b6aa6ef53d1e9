/* Images with repeated edges. */

#include "edges.h"

#include <stdlib.h>
#include <string.h>

uint8_t *NAME(with_edges)(const augreg_image *in, int32_t reach, size_t slack) {
    size_t channels = (size_t)in->channels, bytes = (size_t)in->width * channels, border = (size_t)reach * channels;
    uint8_t *copy = calloc((bytes + 2 * border) * ((size_t)in->height + 2 * (size_t)reach) + slack, 1), *to = copy;
    if (copy == NULL) return NULL;
    for (int32_t y = -reach; y < in->height + reach; y++, to += bytes + 2 * border) {
        int32_t inside = y < 0 ? 0 : y < in->height ? y : in->height - 1;
        const uint8_t *from = in->data + inside * in->row;
        for (size_t x = 0; x < border; x += channels) {
            memcpy(to + x, from, channels);
            memcpy(to + border + bytes + x, from + bytes - channels, channels);
        }
        memcpy(to + border, from, bytes);
    }
    return copy;
}
