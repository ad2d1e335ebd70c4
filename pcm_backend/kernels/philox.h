// Philox4x32-10 and Box-Muller on sixteen lanes at once; philox.py holds the same in plain torch, and says the layout.
#pragma once
#include <cstdint>
#include <cstring>

constexpr int LANES = 16;

struct Blocks {
    uint32_t word[4][LANES];
};

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

inline __attribute__((always_inline)) void philox(Blocks &b, Keys k) {
    for (int round = 0; round < 10; round++)
        for (int j = 0; j < LANES; j++) {
            const uint64_t p0 = 0xD2511F53ull * b.word[0][j], p1 = 0xCD9E8D57ull * b.word[2][j];
            b.word[0][j] = static_cast<uint32_t>(p1 >> 32) ^ b.word[1][j] ^ k.low[j];
            b.word[2][j] = static_cast<uint32_t>(p0 >> 32) ^ b.word[3][j] ^ k.high[j];
            b.word[1][j] = static_cast<uint32_t>(p1);
            b.word[3][j] = static_cast<uint32_t>(p0);
            k.low[j] += 0x9E3779B9u;
            k.high[j] += 0xBB67AE85u;
        }
}

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

inline __attribute__((always_inline)) void set_counter(Blocks &b, int lane, uint32_t block, Draw draw) {
    b.word[0][lane] = block;
    b.word[1][lane] = draw.part;
    b.word[2][lane] = draw.low;
    b.word[3][lane] = draw.high;
}

// Sixty-four normal numbers of one row, number 64 x group and on.
inline __attribute__((always_inline)) void normals(float out[4][LANES], uint64_t key, Draw draw, uint32_t group) {
    Blocks b;
    Keys k;
    for (int j = 0; j < LANES; j++) {
        set_counter(b, j, group * LANES + j, draw);
        set_key(k, j, key);
    }
    philox(b, k);
    for (int j = 0; j < LANES; j++) box_muller(b.word[0][j], b.word[1][j], out[0][j], out[1][j]);
    for (int j = 0; j < LANES; j++) box_muller(b.word[2][j], b.word[3][j], out[2][j], out[3][j]);
}

constexpr int64_t GROUP = 4 * LANES;

// Draw at least the numbers first to first + n of a row; returns where number `first` lies. Room: n + 2 groups.
inline float *normal_range(float *room, uint64_t key, Draw draw, int64_t first, int64_t n) {
    const int64_t begin = first / GROUP, end = (first + n + GROUP - 1) / GROUP;
    for (int64_t g = begin; g < end; g++) {
        float z[4][LANES];
        normals(z, key, draw, static_cast<uint32_t>(g));
        memcpy(room + (g - begin) * GROUP, z, sizeof z);
    }
    return room + (first - begin * GROUP);
}

// Sixteen normal numbers of any rows: number index[j] of the row with key key[j].
inline __attribute__((always_inline)) void normals_at(float out[LANES], const uint64_t key[LANES],
                                                      const int64_t index[LANES], Draw draw) {
    Blocks b;
    Keys k;
    uint32_t lane[LANES];
    for (int j = 0; j < LANES; j++) {
        const uint64_t i = static_cast<uint64_t>(index[j]);
        set_counter(b, j, static_cast<uint32_t>(i / GROUP) * LANES + static_cast<uint32_t>(i % LANES), draw);
        set_key(k, j, key[j]);
        lane[j] = static_cast<uint32_t>(i / LANES) % 4;
    }
    philox(b, k);
    float even[LANES], odd[LANES];
    for (int j = 0; j < LANES; j++) {
        const bool first = lane[j] < 2;
        box_muller(first ? b.word[0][j] : b.word[2][j], first ? b.word[1][j] : b.word[3][j], even[j], odd[j]);
    }
    for (int j = 0; j < LANES; j++) out[j] = (lane[j] & 1) ? odd[j] : even[j];
}
