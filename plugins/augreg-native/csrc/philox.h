/* Philox4x64-10 by Salmon et al. 2011: a block of four random words from a key and a counter. */

#ifndef AUGREG_PHILOX_H
#define AUGREG_PHILOX_H

#include <stdint.h>

enum { AUGREG_PHILOX_ROUNDS = 10 };
/* The factors of a round, and what is added to the two words of the key after it. */
#define AUGREG_PHILOX_FACTOR_A 0xD2E7470EE14C6C93u
#define AUGREG_PHILOX_FACTOR_C 0xCA5A826395121157u
#define AUGREG_PHILOX_STEP_LEFT 0x9E3779B97F4A7C15u
#define AUGREG_PHILOX_STEP_RIGHT 0xBB67AE8584CAA73Bu

static inline uint64_t augreg_product(uint64_t a, uint64_t b, uint64_t *low) {
    unsigned __int128 product = (unsigned __int128)a * b;
    *low = (uint64_t)product;
    return (uint64_t)(product >> 64);
}

static inline void augreg_philox(const uint64_t key[2], const uint64_t counter[4], uint64_t words[4]) {
    uint64_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], left = key[0], right = key[1];
    for (int round = 0; round < AUGREG_PHILOX_ROUNDS; round++) {
        uint64_t a_low, c_low, a_high = augreg_product(AUGREG_PHILOX_FACTOR_A, a, &a_low);
        uint64_t c_high = augreg_product(AUGREG_PHILOX_FACTOR_C, c, &c_low);
        a = c_high ^ b ^ left;
        b = c_low;
        c = a_high ^ d ^ right;
        d = a_low;
        left += AUGREG_PHILOX_STEP_LEFT;
        right += AUGREG_PHILOX_STEP_RIGHT;
    }
    words[0] = a, words[1] = b, words[2] = c, words[3] = d;
}

#endif
