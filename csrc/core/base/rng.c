/* rng.c - random numbers that depend on seed, stream and index only: Philox4x32-10 (Salmon et al.,
 * 2011). */
#include <math.h>
#include "../../pynn.h"

typedef struct { uint32_t w[4]; } block;

static block philox(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    block c = { { (uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream,
                  (uint32_t)(stream >> 32) } };
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c.w[0] * 0xD2511F53u, b = (uint64_t)c.w[2] * 0xCD9E8D57u;
        c = (block){ { (uint32_t)(b >> 32) ^ c.w[1] ^ k0, (uint32_t)b,
                       (uint32_t)(a >> 32) ^ c.w[3] ^ k1, (uint32_t)a } };
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* Uniform in [low, high), from 24 random bits for float and 53 for double. low + u (high - low) can
 * round up to high, which is replaced by the largest value below. */
void pn_random_uniform(uint64_t seed, uint64_t stream, double low, double high, pn_dtype t,
                       size_t n, void *out)
{
    const float below_f = nextafterf((float)high, (float)low);
    const double below = nextafter(high, low);
    for (size_t i = 0; i < n; i++) {
        if (i % 65536 == 0 && pn_stop_now()) return;
        block b = philox(seed, stream, i);
        if (t == PN_F32) {
            float u = (float)(b.w[0] >> 8) * 0x1p-24f;
            float x = (float)low + u * ((float)high - (float)low);
            ((float *)out)[i] = x < (float)high ? x : below_f;
        } else {
            double u = (double)((((uint64_t)b.w[0] << 32) | b.w[1]) >> 11) * 0x1p-53;
            double x = low + u * (high - low);
            ((double *)out)[i] = x < high ? x : below;
        }
    }
}
