// Philox4x32-10 and Box-Muller on sixteen lanes at once; philox.py holds the same in plain torch, and says the layout.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

constexpr int LANES = 16;

struct Draw {  // which numbers: the draw, and its part
    uint32_t part, low, high;
};

inline Draw make_draw(uint64_t draw, uint32_t part) {
    return {part, static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32)};
}

struct Keys {  // one for each lane
    uint32_t low[LANES], high[LANES];
};

inline __attribute__((always_inline)) void set_key(Keys &k, int lane, uint64_t key) {
    k.low[lane] = static_cast<uint32_t>(key);
    k.high[lane] = static_cast<uint32_t>(key >> 32);
}

// Ten rounds. Where the processor has them, words lie in lanes of 64 bits: a product of 32 x 32 bits is then a single
// instruction whose upper half is the high word, and what stands above a low word is never looked at.
#if defined(__AVX512F__)
using Wide = __m512i;
inline Wide widen(const uint32_t *x) { return _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(x))); }
inline void narrow(uint32_t *to, Wide x) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), _mm512_cvtepi64_epi32(x)); }
inline Wide all(uint32_t x) { return _mm512_set1_epi64(x); }
inline Wide times(Wide a, Wide b) { return _mm512_mul_epu32(a, b); }
inline Wide high(Wide a) { return _mm512_srli_epi64(a, 32); }
inline Wide plus(Wide a, Wide b) { return _mm512_add_epi32(a, b); }
inline Wide either(Wide a, Wide b, Wide c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
#define PHILOX_WIDE 8
#elif defined(__AVX2__)
using Wide = __m256i;
inline Wide widen(const uint32_t *x) { return _mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i *>(x))); }
inline void narrow(uint32_t *to, Wide x) {
    const Wide packed = _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm256_castsi256_si128(packed));
}
inline Wide all(uint32_t x) { return _mm256_set1_epi64x(x); }
inline Wide times(Wide a, Wide b) { return _mm256_mul_epu32(a, b); }
inline Wide high(Wide a) { return _mm256_srli_epi64(a, 32); }
inline Wide plus(Wide a, Wide b) { return _mm256_add_epi32(a, b); }
inline Wide either(Wide a, Wide b, Wide c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
#define PHILOX_WIDE 4
#endif

#ifdef PHILOX_WIDE
// Words of N blocks, sixteen or more; k0 and k1: keys of one vector of blocks, or of each.
template <int N, int KEYS>
inline __attribute__((always_inline)) void rounds(uint32_t (&word)[4][N], Wide (&k0)[KEYS], Wide (&k1)[KEYS]) {
    constexpr int V = N / PHILOX_WIDE;
    static_assert(KEYS == 1 || KEYS == V);
    Wide c[4][V];
    for (int v = 0; v < V; v++)
        for (int w = 0; w < 4; w++) c[w][v] = widen(word[w] + v * PHILOX_WIDE);
    const Wide m0 = all(0xD2511F53u), m1 = all(0xCD9E8D57u), w0 = all(0x9E3779B9u), w1 = all(0xBB67AE85u);
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            const Wide p0 = times(c[0][v], m0), p1 = times(c[2][v], m1);
            c[0][v] = either(high(p1), c[1][v], k0[KEYS == 1 ? 0 : v]);
            c[2][v] = either(high(p0), c[3][v], k1[KEYS == 1 ? 0 : v]);
            c[1][v] = p1;
            c[3][v] = p0;
        }
        for (int v = 0; v < KEYS; v++) {
            k0[v] = plus(k0[v], w0);
            k1[v] = plus(k1[v], w1);
        }
    }
    for (int v = 0; v < V; v++)
        for (int w = 0; w < 4; w++) narrow(word[w] + v * PHILOX_WIDE, c[w][v]);
}

// Blocks of keys of their own.
inline __attribute__((always_inline)) void philox(uint32_t (&word)[4][LANES], const Keys &k) {
    constexpr int V = LANES / PHILOX_WIDE;
    Wide k0[V], k1[V];
    for (int v = 0; v < V; v++) {
        k0[v] = widen(k.low + v * PHILOX_WIDE);
        k1[v] = widen(k.high + v * PHILOX_WIDE);
    }
    rounds<LANES, V>(word, k0, k1);
}

// Blocks of one key.
template <int N>
inline __attribute__((always_inline)) void philox(uint32_t (&word)[4][N], uint64_t key) {
    Wide k0[1] = {all(static_cast<uint32_t>(key))}, k1[1] = {all(static_cast<uint32_t>(key >> 32))};
    rounds<N, 1>(word, k0, k1);
}
#else
inline __attribute__((always_inline)) void philox(uint32_t (&word)[4][LANES], Keys k) {
    for (int round = 0; round < 10; round++)
        for (int j = 0; j < LANES; j++) {
            const uint64_t p0 = 0xD2511F53ull * word[0][j], p1 = 0xCD9E8D57ull * word[2][j];
            word[0][j] = static_cast<uint32_t>(p1 >> 32) ^ word[1][j] ^ k.low[j];
            word[2][j] = static_cast<uint32_t>(p0 >> 32) ^ word[3][j] ^ k.high[j];
            word[1][j] = static_cast<uint32_t>(p1);
            word[3][j] = static_cast<uint32_t>(p0);
            k.low[j] += 0x9E3779B9u;
            k.high[j] += 0xBB67AE85u;
        }
}

template <int N>
inline __attribute__((always_inline)) void philox(uint32_t (&word)[4][N], uint64_t key) {
    uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; round++) {
        for (int j = 0; j < N; j++) {
            const uint64_t p0 = 0xD2511F53ull * word[0][j], p1 = 0xCD9E8D57ull * word[2][j];
            word[0][j] = static_cast<uint32_t>(p1 >> 32) ^ word[1][j] ^ k0;
            word[2][j] = static_cast<uint32_t>(p0 >> 32) ^ word[3][j] ^ k1;
            word[1][j] = static_cast<uint32_t>(p1);
            word[3][j] = static_cast<uint32_t>(p0);
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}
#endif

// Natural logarithm of a positive normal number: Cephes' polynomial, relative error below 1e-7 (also beside 1).
inline float log_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, 4);
    const int32_t exponent = (bits - 0x3F3504F3) >> 23;
    bits -= exponent << 23;
    float m;
    memcpy(&m, &bits, 4);
    const float f = m - 1.0f, z = f * f, e = static_cast<float>(exponent);
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    return (f + (p * f * z - 2.12194440e-4f * e - 0.5f * z)) + 0.693359375f * e;
}

// Two normal numbers from two words; sine and cosine are Cephes' polynomials on an eighth of a turn.
inline void box_muller(uint32_t radius, uint32_t angle, float &first, float &second) {
    const float u = (static_cast<float>(radius) + 0.5f) * 2.3283064365386963e-10f;
    const float r = __builtin_sqrtf(-2.0f * log_of(u));
    const uint32_t turned = angle + 0x20000000u, quarter = turned >> 30;
    const float t = static_cast<float>(static_cast<int32_t>(turned & 0x3FFFFFFFu) - 0x20000000) * 1.4629180792671596e-9f;
    const float z = t * t;
    const float s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * t + t;
    const float c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z -
                    0.5f * z + 1.0f;
    const float sine = (quarter & 1) ? c : s, cosine = (quarter & 1) ? s : c;
    first = r * (((quarter + 1) & 2) ? -cosine : cosine);
    second = r * ((quarter & 2) ? -sine : sine);
}

constexpr int64_t GROUP = 4 * LANES;  // numbers

// G groups of sixty-four normal numbers of one row, number 64 x group and on: several keep the processor busier.
template <int G>
inline __attribute__((always_inline)) void normals(float *__restrict out, uint64_t key, Draw draw, uint32_t group) {
    uint32_t word[4][G * LANES];
    for (int j = 0; j < G * LANES; j++) {
        word[0][j] = group * LANES + j;
        word[1][j] = draw.part;
        word[2][j] = draw.low;
        word[3][j] = draw.high;
    }
    philox<G * LANES>(word, key);
    for (int g = 0; g < G; g++)
        for (int pair = 0; pair < 4; pair += 2) {
            const uint32_t *radius = word[pair] + g * LANES, *angle = word[pair + 1] + g * LANES;
            float *first = out + g * GROUP + pair * LANES, *second = first + LANES;
            for (int j = 0; j < LANES; j++) box_muller(radius[j], angle[j], first[j], second[j]);
        }
}

// Draw at least the numbers first to first + n of a row; returns where number `first` lies. Room: n + 2 groups.
inline float *normal_range(float *room, uint64_t key, Draw draw, int64_t first, int64_t n) {
    const int64_t begin = first / GROUP, end = (first + n + GROUP - 1) / GROUP;
    int64_t g = begin;
    for (; g + 2 <= end; g += 2) normals<2>(room + (g - begin) * GROUP, key, draw, static_cast<uint32_t>(g));
    for (; g < end; g++) normals<1>(room + (g - begin) * GROUP, key, draw, static_cast<uint32_t>(g));
    return room + (first - begin * GROUP);
}

// Sixteen normal numbers of any rows: number index[j] of the row with key key[j].
inline __attribute__((always_inline)) void normals_at(float out[LANES], const uint64_t key[LANES],
                                                      const int64_t index[LANES], Draw draw) {
    uint32_t word[4][LANES], lane[LANES];
    Keys k;
    for (int j = 0; j < LANES; j++) {
        const uint64_t i = static_cast<uint64_t>(index[j]);
        word[0][j] = static_cast<uint32_t>(i / GROUP) * LANES + static_cast<uint32_t>(i % LANES);
        word[1][j] = draw.part;
        word[2][j] = draw.low;
        word[3][j] = draw.high;
        set_key(k, j, key[j]);
        lane[j] = static_cast<uint32_t>(i / LANES) % 4;
    }
    philox(word, k);
    float even[LANES], odd[LANES];
    for (int j = 0; j < LANES; j++) {
        const bool first = lane[j] < 2;
        box_muller(first ? word[0][j] : word[2][j], first ? word[1][j] : word[3][j], even[j], odd[j]);
    }
    for (int j = 0; j < LANES; j++) out[j] = (lane[j] & 1) ? odd[j] : even[j];
}
