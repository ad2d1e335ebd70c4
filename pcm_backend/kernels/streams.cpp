// Normal numbers of many rows, dense and sparse.
#include "philox.h"

// One block, for the test against the published vectors.
extern "C" void philox_block(uint32_t *out, const uint32_t *counter, uint64_t key) {
    uint32_t word[4][LANES] = {};
    Keys k = {};
    for (int i = 0; i < 4; i++) word[i][0] = counter[i];
    set_key(k, 0, key);
    philox(word, k);
    for (int i = 0; i < 4; i++) out[i] = word[i][0];
}

extern "C" void dense_normal(float *out, const uint64_t *keys, int64_t first, int64_t last, int64_t n, uint64_t draw,
                             uint32_t part) {
    const Draw d = make_draw(draw, part);
    const int64_t whole = n / GROUP;
    for (int64_t row = first; row < last; row++) {
        float *to = out + row * n;
        if (whole) normal_range(to, keys[row], d, 0, whole * GROUP);
        if (n > whole * GROUP) {
            float last[GROUP];
            normals<1>(last, keys[row], d, static_cast<uint32_t>(whole));
            memcpy(to + whole * GROUP, last, static_cast<size_t>(n - whole * GROUP) * sizeof(float));
        }
    }
}

// Number index[i] of the row with key keys[row[i]]; the last lanes of a list are filled with its last number.
extern "C" void sparse_normal(float *out, const uint64_t *keys, const int64_t *row, const int64_t *index, int64_t n,
                              uint64_t draw, uint32_t part) {
    const Draw d = make_draw(draw, part);
    for (int64_t i = 0; i < n; i += LANES) {
        uint64_t key[LANES];
        int64_t place[LANES];
        for (int j = 0; j < LANES; j++) {
            const int64_t from = i + j < n ? i + j : n - 1;
            key[j] = keys[row[from]];
            place[j] = index[from];
        }
        float z[LANES];
        normals_at(z, key, place, d);
        memcpy(out + i, z, static_cast<size_t>(n - i < LANES ? n - i : LANES) * sizeof(float));
    }
}
