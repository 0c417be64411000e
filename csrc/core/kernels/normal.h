/* normal.h - x Phi(x) and its derivative on V, Phi the normal distribution function: X_PHI D_X_PHI;
 * and its tail: PHI_TAIL. No include guard: kernels.c includes it once per type, after vmath.h.
 *
 * With t = |x| and Mills's ratio R(t) = e^(t^2/2) Phi(-t), x Phi(x) = max(x, 0) - e^(-t^2/2) G(t),
 * where G = t R. The derivative is e^(-t^2/2) H(t) left of 0, and 1 minus that right of it, where H
 * = R - t phi(0). One formula thus covers both tails. The exponential carries the whole decay, so G
 * and H are smooth and need few terms: f32 uses one of 16 pieces, f64 one polynomial with its
 * rounding errors. */
#define T_MAX PICK(14.6, 38.8)                          /* e^(-t^2/2) G has underflowed to 0 */

/* e^(-t^2/2) = e^(-r/2) s / UP, r = t^2 + 2n ln2, |r| <= ln2: t^2 is rounded only after the sum. */
static inline V CAT(gauss, SFX)(V t, V *s)
{
    V magic = SPLAT(MAGIC + BIAS + OFF), z = FMA(t * t, SPLAT(-LOG2E / 2), magic), n = z - magic;
    *s = (V)((VI)z << MANT);
    return FMA(n, SPLAT(2 * LN2_LO), RESIDUAL(n * (2 * LN2_HI), -t, t));
}
#define GAUSS CAT(gauss, SFX)

#if BITS == 32
/* (e^(-r/2) - 1)/r on |r| <= ln2, error relative to e^(-r/2) 2^-28.3 */
static const R CAT(c_gauss, SFX)[] = { -0.5f,          0x1.fffffcp-4f,   -0x1.555492p-6f,
                                       0x1.5558acp-9f, -0x1.12397cp-12f, 0x1.6a511ap-16f };
/* G, H and R on [0, 14.6]. Row 0 has the centres of the pieces, the other rows their coefficients:
 * four pieces per octave of 1 + t, ordered by its bits, so that [1, 1.25) is number 12. A centre is
 * a point where the function is almost a float. Error of G 2^-28.7, of H 2^-26.3, of R 2^-27.6. */
static const R CAT(c_g, SFX)[][16] = {
    { 0x1.3ff6p0f, 0x1.bf998p0f, 0x1.1f858p1f, 0x1.5fa48p1f, 0x1.bff68p1f, 0x1.203d8p2f,
      0x1.60778p2f, 0x1.a0098p2f, 0x1.ff5ap2f, 0x1.3f9fp3f, 0x1.803a8p3f, 0x1.ba0c9ap3f, 0,
      0x1.7fb3p-2f, 0x1.402e8p-1f, 0x1.c0708p-1f },
    { 0x1.275bd6p-2f, 0x1.4bd918p-2f, 0x1.61e254p-2f, 0x1.700ea4p-2f, 0x1.7d2322p-2f,
      0x1.86ccdep-2f, 0x1.8c3338p-2f, 0x1.8f7742p-2f, 0x1.9265a6p-2f, 0x1.948a16p-2f,
      0x1.95bd88p-2f, 0x1.9668bp-2f, 0, 0x1.235d9ep-3f, 0x1.9e0a9ap-3f, 0x1.f59a7ap-3f },
    { 0x1.7b8aa8p-4f, 0x1.bdf8bep-5f, 0x1.169798p-5f, 0x1.6d2e5p-6f, 0x1.a2b46p-7f, 0x1.bec502p-8f,
      0x1.06f39cp-8f, 0x1.4e8feap-9f, 0x1.777e9ap-10f, 0x1.8c4dp-11f, 0x1.d02cbp-12f,
      0x1.33c62p-12f, 0x1p-1f, 0x1.224e7ap-2f, 0x1.9a13c6p-3f, 0x1.286d4ep-3f },
    { -0x1.aee574p-5f, -0x1.bef2fap-6f, -0x1.f0ab1p-7f, -0x1.237b9cp-7f, -0x1.1ef452p-8f,
      -0x1.ff2dc6p-10f, -0x1.00cdaep-10f, -0x1.1c705p-11f, -0x1.0a68b8p-12f, -0x1.ca9244p-14f,
      -0x1.c3c4dcp-15f, -0x1.06009cp-15f, -0x1.988446p-2f, -0x1.a0e374p-3f, -0x1.12c54p-3f,
      -0x1.733b96p-4f },
    { 0x1.90074p-6f, 0x1.72f4c4p-7f, 0x1.729662p-8f, 0x1.890616p-9f, 0x1.4fbf5ep-10f,
      0x1.f8794cp-12f, 0x1.b3c20ap-13f, 0x1.a646ccp-14f, 0x1.4ba2c2p-15f, 0x1.d37af6p-17f,
      0x1.845b14p-18f, 0x1.8a9418p-19f, 0x1.fffa22p-3f, 0x1.dc7af6p-4f, 0x1.278558p-4f,
      0x1.7817cap-5f },
    { -0x1.447fd6p-7f, -0x1.0f9ddcp-8f, -0x1.ebe35p-10f, -0x1.dace78p-11f, -0x1.631f1ep-12f,
      -0x1.c5fcecp-14f, -0x1.533042p-15f, -0x1.20dedcp-16f, -0x1.7e53b6p-18f, -0x1.bb027ep-20f,
      -0x1.3708eep-21f, -0x1.14ee7p-22f, -0x1.0feb4cp-3f, -0x1.d284fep-5f, -0x1.11f4p-5f,
      -0x1.4a3dbap-6f },
    { 0x1.e0e08ap-9f, 0x1.6d6f14p-10f, 0x1.2e79d8p-11f, 0x1.0af958p-12f, 0x1.649e76p-14f,
      0x1.84a24cp-16f, 0x1.f73576p-18f, 0x1.78a5fcp-19f, 0x1.ae710ap-21f, 0x1.97c646p-23f,
      0x1.e2228ep-25f, 0x1.761ep-26f, 0x1.f20734p-5f, 0x1.95fdf4p-6f, 0x1.c8898ep-7f,
      0x1.042294p-7f },
    { -0x1.4607ap-10f, -0x1.c32e62p-12f, -0x1.5bdfdep-13f, -0x1.15c778p-14f, -0x1.4a6e0cp-16f,
      -0x1.372138p-18f, -0x1.63bcfep-20f, -0x1.d66ep-22f, -0x1.c4824p-24f, -0x1.627dfep-26f,
      -0x1.66e47ap-28f, -0x1.17af12p-29f, -0x1.4875f6p-6f, -0x1.4ec48cp-7f, -0x1.592f8p-8f,
      -0x1.851d7ap-9f },
};
static const R CAT(c_h, SFX)[][16] = {
    { 0x1.3fe08p0f, 0x1.bf998p0f, 0x1.2045p1f, 0x1.5feap1f, 0x1.c07c8p1f, 0x1.2087p2f, 0x1.608ep2f,
      0x1.a0698p2f, 0x1.007ap3f, 0x1.40088p3f, 0x1.7f878p3f, 0x1.b9b31ap3f, 0x1.006f8p-3f,
      0x1.7f6fp-2f, 0x1.4003p-1f, 0x1.c016p-1f },
    { -0x1.1218c8p-2f, -0x1.063bfap-1f, -0x1.7d663p-1f, -0x1.eea104p-1f, -0x1.4aa456p0f,
      -0x1.b6bff6p0f, -0x1.104eb4p1f, -0x1.4492f6p1f, -0x1.930044p1f, -0x1.f9a48cp1f,
      -0x1.2fe576p2f, -0x1.5e95cap2f, 0x1.9d755p-2f, 0x1.d7c8eep-3f, 0x1.2f1e68p-4f,
      -0x1.1c3fc6p-4f },
    { -0x1.04da66p-1f, -0x1.e52f8ep-2f, -0x1.cef25cp-2f, -0x1.c0edap-2f, -0x1.b3d7d8p-2f,
      -0x1.aa33c8p-2f, -0x1.a4d3fcp-2f, -0x1.a18d7ap-2f, -0x1.9e99a6p-2f, -0x1.9c7c04p-2f,
      -0x1.9b4daap-2f, -0x1.9aa0cep-2f, -0x1.7b6decp-1f, -0x1.4fb69p-1f, -0x1.310a64p-1f,
      -0x1.1b2adp-1f },
    { 0x1.7bace2p-5f, 0x1.bdf74cp-6f, 0x1.1524acp-6f, 0x1.6c8fecp-7f, 0x1.a1823p-8f, 0x1.bd9d6ep-9f,
      0x1.06c616p-9f, 0x1.4db9a6p-10f, 0x1.7426bap-11f, 0x1.8ad1f6p-12f, 0x1.d2a48ep-13f,
      0x1.347e12p-13f, 0x1.a4bdaap-3f, 0x1.2269f8p-3f, 0x1.9a4268p-4f, 0x1.28aee8p-4f },
    { -0x1.1f595ep-6f, -0x1.29f772p-7f, -0x1.48ed48p-8f, -0x1.83dbacp-9f, -0x1.7d1f64p-10f,
      -0x1.5385acp-11f, -0x1.5637eap-12f, -0x1.7a09e4p-13f, -0x1.5ef006p-14f, -0x1.30515ep-15f,
      -0x1.2eae22p-16f, -0x1.5e3dbap-17f, -0x1.affffp-4f, -0x1.160bc8p-4f, -0x1.6e83d2p-5f,
      -0x1.ef7392p-6f },
    { 0x1.939f92p-8f, 0x1.757ed4p-9f, 0x1.71d16cp-10f, 0x1.89985ap-11f, 0x1.536c92p-12f,
      0x1.fb809cp-14f, 0x1.b6159p-15f, 0x1.a7a706p-16f, 0x1.4cf9ecp-17f, 0x1.d58ec8p-19f,
      0x1.8b08f8p-20f, 0x1.8c71p-21f, 0x1.8b0c52p-5f, 0x1.de20c4p-6f, 0x1.284ed2p-6f,
      0x1.79460ep-7f },
    { -0x1.09b7aep-9f, -0x1.b55a34p-11f, -0x1.8d4612p-12f, -0x1.75393cp-13f, -0x1.2408p-14f,
      -0x1.798446p-16f, -0x1.09b09cp-17f, -0x1.ca6328p-19f, -0x1.39bfdcp-20f, -0x1.5c97a8p-22f,
      -0x1.39047ap-23f, -0x1.efba08p-25f, -0x1.46d43ap-6f, -0x1.76e4cap-7f, -0x1.c50946p-8f,
      -0x1.10e398p-8f },
};
static const R CAT(c_r, SFX)[][16] = {
    { 0x1.407p0f, 0x1.c1cp0f, 0x1.1fp1f, 0x1.5f78p1f, 0x1.c18p1f, 0x1.2068p2f, 0x1.5fbp2f,
      0x1.a07p2f, 0x1.00a8p3f, 0x1.40ap3f, 0x1.805p3f, 0x1.bff8p3f, 0x1.fdep-4f, 0x1.7ecp-2f,
      0x1.3e2p-1f, 0x1.be5p-1f },
    { 0x1.d835fp-3f, 0x1.7a4f5ep-3f, 0x1.3b886cp-3f, 0x1.0c0f5ap-3f, 0x1.b24f62p-4f,
      0x1.5ae79ep-4f, 0x1.205d72p-4f, 0x1.eb2762p-5f, 0x1.9169aap-5f, 0x1.43051cp-5f,
      0x1.0e464p-5f, 0x1.d08fe4p-6f, 0x1.d0ddbap-2f, 0x1.85093p-2f, 0x1.4bdb34p-2f,
      0x1.1f019p-2f },
    { -0x1.c3ed46p-4f, -0x1.30cf6ep-4f, -0x1.b63312p-5f, -0x1.43ecfep-5f, -0x1.b3922p-6f,
      -0x1.1b2d36p-6f, -0x1.8bbe76p-7f, -0x1.211c6p-7f, -0x1.84cefap-8f, -0x1.fa0684p-9f,
      -0x1.633ea6p-9f, -0x1.06d6fep-9f, -0x1.5ea65ap-2f, -0x1.071a74p-2f, -0x1.94a4ep-3f,
      -0x1.3caa3ep-3f },
    { 0x1.7abd92p-5f, 0x1.ba3cap-6f, 0x1.179b3p-6f, 0x1.6d93b6p-7f, 0x1.9f46ccp-8f, 0x1.be1b6cp-9f,
      0x1.08856ap-9f, 0x1.4dac8ap-10f, 0x1.737128p-11f, 0x1.88b9cp-12f, 0x1.cfe0d4p-13f,
      0x1.27f79p-13f, 0x1.a5378p-3f, 0x1.22b17cp-3f, 0x1.9c4ab6p-4f, 0x1.29f95ap-4f },
    { -0x1.1e8544p-6f, -0x1.26de7cp-7f, -0x1.4ca03cp-8f, -0x1.852d9p-9f, -0x1.7a994ep-10f,
      -0x1.5421e2p-11f, -0x1.5911f4p-12f, -0x1.79eef2p-13f, -0x1.5e2c96p-14f, -0x1.2e1304p-15f,
      -0x1.2cecbp-16f, -0x1.4baa6cp-17f, -0x1.b093cep-4f, -0x1.165e2p-4f, -0x1.70be64p-5f,
      -0x1.f21cf2p-6f },
    { 0x1.8ed46ep-8f, 0x1.6e6e2cp-9f, 0x1.749c38p-10f, 0x1.89ae2p-11f, 0x1.4b8b58p-12f,
      0x1.f752b6p-14f, 0x1.b7ec74p-15f, 0x1.a479c4p-16f, 0x1.45e1a4p-17f, 0x1.cc9f28p-19f,
      0x1.83f536p-20f, 0x1.71e634p-21f, 0x1.8a4a96p-5f, 0x1.dd5644p-6f, 0x1.29bbdcp-6f,
      0x1.7ad7f8p-7f },
    { -0x1.02ba6ep-9f, -0x1.ac8738p-11f, -0x1.8c0b72p-12f, -0x1.7c9436p-13f, -0x1.17eb1ap-14f,
      -0x1.6a31d6p-16f, -0x1.12734p-17f, -0x1.cbe698p-19f, -0x1.2b8556p-20f, -0x1.5c2feep-22f,
      -0x1.f11198p-24f, -0x1.9a9e6ep-25f, -0x1.466ddap-6f, -0x1.7605a8p-7f, -0x1.ba0064p-8f,
      -0x1.0a65cp-8f },
    { 0x1.3ea588p-11f, 0x1.deb20ap-13f, 0x1.9422a2p-14f, 0x1.6305b6p-15f, 0x1.d10cc6p-17f,
      0x1.0139bcp-18f, 0x1.52bf5ep-20f, 0x1.f2b4e8p-22f, 0x1.163aa2p-23f, 0x1.090f98p-25f,
      0x1.40034ep-27f, 0x1.c97ab4p-29f, 0x1.f443eap-8f, 0x1.106f84p-8f, 0x1.3242dap-9f,
      0x1.5f2e48p-10f },
    { -0x1.719cf4p-13f, -0x1.000adp-14f, -0x1.83d5bep-16f, -0x1.3b548cp-17f, -0x1.75da56p-19f,
      -0x1.628bd6p-21f, -0x1.93fd0ep-23f, -0x1.09cb68p-24f, -0x1.fb8d16p-27f, -0x1.8f2decp-29f,
      -0x1.973fcap-31f, -0x1.f6eb1cp-33f, -0x1.63ee06p-9f, -0x1.71692cp-10f, -0x1.8a8c24p-11f,
      -0x1.b070c4p-12f },
};
/* e^(-r/2) s times the piece j of c at a distance d from its centre */
static ALWAYS V CAT(piece, SFX)(V d, VI j, V r, V s, const R (*c)[16], int rows)
{
    V c0 = LOOKUP(c[1], j), q = LOOKUP(c[rows - 1], j);
    _Pragma("GCC unroll 8") for (int k = rows - 2; k > 1; k--) q = FMA(q, d, LOOKUP(c[k], j));
    /* the contribution of the exponential to the piece c0 + q d */
    V p = FMA(q, d, c0) * r * HORNER(r, CAT(c_gauss, SFX));
    return (RESIDUAL(p, -q, d) + c0) * s;
}
#define PIECE_AT(t)             ((VI)((t) + 1) >> (MANT - 2))
#define PIECE(d, j, r, s, c, n) CAT(piece, SFX)((d), (j), (r), (s), (c), (n))
/* e^(-t^2/2) times the piece at t, scaled UP */
static inline V CAT(tail, SFX)(V t, const R (*c)[16], int rows)
{
    VI j = PIECE_AT(t);
    V s, r = GAUSS(t, &s);
    return PIECE(t - LOOKUP(c[0], j), j, r, s, c, rows);
}
#define ROWS(c) (int)(sizeof(c) / sizeof(c)[0])
static inline V CAT(tail_g, SFX)(V t)
{
    return CAT(tail, SFX)(t, CAT(c_g, SFX), ROWS(CAT(c_g, SFX)));
}
static inline V CAT(tail_h, SFX)(V t)
{
    return CAT(tail, SFX)(t, CAT(c_h, SFX), ROWS(CAT(c_h, SFX)));
}
/* Phi(-t - l), scaled UP, with e^(-(t + l)^2/2) = e^(-r/2) s */
static inline V CAT(phi_tail, SFX)(V t, V l, V r, V s)
{
    VI j = PIECE_AT(t);
    return PIECE((t - LOOKUP(CAT(c_r, SFX)[0], j)) + l, j, r, s, CAT(c_r, SFX),
                 ROWS(CAT(c_r, SFX)));
}
#undef ROWS
#else
/* R = (1 - v) p(2v - 1), v = t/(t + 4): error of p 2^-56.6 on [0, 38.8], p(0) in two parts. */
static const R CAT(c_mills, SFX)[] = {
    0x1.82b4bb8c94dcep-3,  -0x1.373e3a893c28ap-3,  0x1.8c6dbf2cfc2b4p-4,   -0x1.7dff2bff683cdp-5,
    0x1.eec4cc3e4d402p-7,  -0x1.ee2761047251bp-10, -0x1.c81719d577ce7p-11, 0x1.ab825fbe14e9p-12,
    0x1.17a4ae58df962p-15, -0x1.e4a424b61ddcfp-15, -0x1.001e9c4e7f0fep-21, 0x1.26d08b76d3515p-17,
    0x1.80b705229b9ccp-23, -0x1.8d49bd4e123a3p-20, -0x1.51f32204aa46p-23,  0x1.122b0ee62fc07p-22,
    0x1.236ebd98faa9bp-24, -0x1.4c68acd39b531p-25, -0x1.6cf549f58299cp-26, 0x1.c6ce5106e7472p-29,
    0x1.4c4703c4f39bdp-28, 0x1.016b6f8210b18p-31,  -0x1.5000f33b7f4e9p-31, -0x1.7fdba88518126p-33
};
#define MILLS_LOW -0x1.aaaa6c2bfd9d4p-58
#define PHI0      0x1.9884533d43651p-2                  /* phi(0) = 1/sqrt(2 pi) in two parts */
#define PHI0_LOW  -0x1.cbc0d30ebfd15p-56

/* R as h + l. v is rounded so that 1 - v and 2v - 1 are exact; its difference from t/(t + 4) is
 * corrected by R' = t R - phi(0). */
static inline V CAT(mills, SFX)(V t, V *l)
{
    const R *c = CAT(c_mills, SFX);
    V d = t + 4, i = 1 - t / d, v = 1 - i, u = v - i, w = u * u, a = SPLAT(c[23]), b = SPLAT(c[22]);
    /* odd and even terms, for half the latency */
    _Pragma("GCC unroll 32") for (int k = 20; k > 1; k -= 2) {
        a = FMA(a, w, SPLAT(c[k + 1]));
        b = FMA(b, w, SPLAT(c[k]));
    }
    a = FMA(a, u, b);
    V q = FMA(u, a, SPLAT(c[1])), p = FMA(u, q, SPLAT(c[0])), h = i * p;
    V pl = RESIDUAL(c[0] - p, -u, q) + FMA(u, FMA(u, a, c[1] - q), SPLAT(MILLS_LOW));
    V rest = FMA(-v, t - (d - 4), RESIDUAL(t, v, d)) * K(0.25) * d;
    *l = FMA(rest, FMA(t, h, SPLAT(-PHI0)), FMA(i, pl, PRODUCT_ERROR(i, p, h)));
    return h;
}
/* e^(-r/2) s (h + l) */
static ALWAYS V CAT(gauss_times, SFX)(V r, V s, V h, V l)
{
    return (FMA(h + l, CAT(exp_remainder, SFX)(r * K(-0.5)), l) + h) * s;
}
static inline V CAT(tail, SFX)(V t, V h, V l)           /* e^(-t^2/2) (h + l), scaled UP */
{
    V s, r = GAUSS(t, &s);
    return CAT(gauss_times, SFX)(r, s, h, l);
}
static inline V CAT(tail_g, SFX)(V t)
{
    V l, r = CAT(mills, SFX)(t, &l), g = t * r;
    return CAT(tail, SFX)(t, g, FMA(t, l, PRODUCT_ERROR(t, r, g)));
}
/* either of R and t phi(0) may be the larger */
static inline V CAT(tail_h, SFX)(V t)
{
    V l, r = CAT(mills, SFX)(t, &l), a = t * PHI0,
         al = FMA(t, SPLAT(PHI0_LOW), PRODUCT_ERROR(t, SPLAT(PHI0), a));
    V h = r - a, b = r - h;
    return CAT(tail, SFX)(t, h, (r - (h + b)) + (b - a) + (l - al));
}
/* R(t + l) is R(t) + l R'(t) */
static inline V CAT(phi_tail, SFX)(V t, V l, V r, V s)
{
    V low, h = CAT(mills, SFX)(t, &low);
    return CAT(gauss_times, SFX)(r, s, h, FMA(l, FMA(t, h, SPLAT(-PHI0)), low));
}
#endif
#define PHI_TAIL(t, l, r, s) CAT(phi_tail, SFX)((t), (l), (r), (s))
static inline V CAT(x_phi, SFX)(V x)
{
    V e = CAT(tail_g, SFX)(MIN(SPLAT(T_MAX), ABS(x)));
    return FMA(e, SPLAT(-DOWN), MAX(SPLAT(-0.0), x));
}
static inline V CAT(d_x_phi, SFX)(V x)
{
    V e = CAT(tail_h, SFX)(MIN(SPLAT(T_MAX), ABS(x)));
    VI left = x < 0;
    return FMA(e, SEL(left, SPLAT(DOWN), SPLAT(-DOWN)), SEL(left, SPLAT(-0.0), SPLAT(1)));
}
#define X_PHI(x)   CAT(x_phi, SFX)(x)
#define D_X_PHI(x) CAT(d_x_phi, SFX)(x)
