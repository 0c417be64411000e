/* shuffle.c - random permutations. */
#include "isa.h"

/* Fisher-Yates shuffle. The bias of the remainder is below n / 2^64. Random words are drawn for 64
 * positions at a time, as in noise.h. */
void pn_random_permutation(uint64_t seed, uint64_t stream, size_t n, size_t *out)
{
    enum { GROUP = 16, GROUPS = 4, PLACES = GROUP * GROUPS };
    uint32_t words[4 * PLACES];
    for (size_t i = 0; i < n; i++) out[i] = i;
    for (size_t i = n; i > 1;) {
        const size_t from = i / PLACES * PLACES;
        if (from % 65536 == 0 && pn_stop_now()) return;
        pn_kernels_now()->of[PN_F64].random_words(seed, stream, from / GROUP,
                                                  (i - from) / GROUP + 1, words);
        for (; i > 1 && i >= from; i--) {
            const uint32_t *w = words + (i - from) / GROUP * 4 * GROUP + i % GROUP;
            size_t j = (size_t)((((uint64_t)w[0] << 32) | w[GROUP]) % i), swap = out[i - 1];
            out[i - 1] = out[j];
            out[j] = swap;
        }
    }
}
