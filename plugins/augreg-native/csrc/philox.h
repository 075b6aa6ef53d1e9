/* Philox4x64-10 by Salmon et al. 2011: a block of four random words from a key and a counter. */

#ifndef AUGREG_PHILOX_H
#define AUGREG_PHILOX_H

#include <stdint.h>

static inline uint64_t augreg_product(uint64_t a, uint64_t b, uint64_t *low) {
    unsigned __int128 product = (unsigned __int128)a * b;
    *low = (uint64_t)product;
    return (uint64_t)(product >> 64);
}

static inline void augreg_philox(const uint64_t key[2], const uint64_t counter[4], uint64_t words[4]) {
    uint64_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], left = key[0], right = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a_low, c_low, a_high = augreg_product(0xD2E7470EE14C6C93u, a, &a_low);
        uint64_t c_high = augreg_product(0xCA5A826395121157u, c, &c_low);
        a = c_high ^ b ^ left;
        b = c_low;
        c = a_high ^ d ^ right;
        d = a_low;
        left += 0x9E3779B97F4A7C15u;
        right += 0xBB67AE8584CAA73Bu;
    }
    words[0] = a, words[1] = b, words[2] = c, words[3] = d;
}

#endif
