// The loop of pulses and reads on sixteen cells at once; verify.py holds the same in plain torch, and says what it does.
// A lane whose cell is done takes the next one, so no lane waits for a slow neighbour.
#include "philox.h"

struct Constants {  // in the order in which verify.py passes them
    float margin, verify_noise, set_step, set_spread, g_device, reset, redo_share, top_share, a_up, gamma_up;
    float reset_ua, bottom_ua, step_ua, last_stair;
};

struct Cells {
    float trimmed[LANES], filled[LANES], target[LANES];
    uint32_t iteration[LANES], up[LANES], other[LANES];
    int64_t cell[LANES];  // -1: the lane is idle
    uint32_t block[LANES], lane[LANES];
    Keys key;
};

// Exponential function of numbers from -80 to 0: Cephes' polynomial, relative error below 1e-7.
inline float exp_of(float x) {
    const float n = __builtin_rintf(x * 1.44269504088896341f);
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float scale;
    memcpy(&scale, &bits, 4);
    return (p * r * r + r + 1.0f) * scale;
}

// One number for each lane: that of its cell in a part that follows from its iteration.
inline __attribute__((always_inline)) void draw_lanes(float out[LANES], const Cells &c, Draw draw, uint32_t offset) {
    uint32_t word[4][LANES];
    for (int j = 0; j < LANES; j++) {
        word[0][j] = c.block[j];
        word[1][j] = draw.part + 2 * c.iteration[j] + offset;
        word[2][j] = draw.low;
        word[3][j] = draw.high;
    }
    philox(word, c.key);
    float even[LANES], odd[LANES];
    for (int j = 0; j < LANES; j++) {
        const bool first = c.lane[j] < 2;
        box_muller(first ? word[0][j] : word[2][j], first ? word[1][j] : word[3][j], even[j], odd[j]);
    }
    for (int j = 0; j < LANES; j++) out[j] = (c.lane[j] & 1) ? odd[j] : even[j];
}

inline float above_zero(float x) { return x < 0.0f ? 0.0f : x; }

// A pulse on one device: pulses.py, one function after the other.
inline __attribute__((always_inline)) float pulsed(float g, float excess, float normal, const Constants &k) {
    const float mean = (1.0f + k.a_up * exp_of(g * (-k.gamma_up / k.g_device))) * (k.set_step / (1.0f + k.a_up));
    const float set = above_zero(g + mean * (1.0f + k.set_spread * normal));
    const float reset = above_zero(k.reset * normal);
    const float share = excess / (g < 1e-6f ? 1e-6f : g);
    const float wanted = k.reset_ua * __builtin_sqrtf(above_zero(share));
    const float stair = __builtin_rintf((wanted - k.bottom_ua) / k.step_ua);
    const float capped = stair > k.last_stair ? k.last_stair : above_zero(stair);
    const float heat = (k.bottom_ua + k.step_ua * capped) / k.reset_ua;
    const float left = 1.0f - heat * heat * (1.0f + k.set_spread * normal);
    const float part = g * (left > 1.0f ? 1.0f : above_zero(left));
    return excess < 0.0f ? set : share > k.redo_share ? reset : part;
}

extern "C" void verify_cells(float *trimmed, float *filled, const float *target, uint8_t *up, uint8_t *other,
                             uint8_t *iterations, uint8_t *converged, const uint64_t *keys, const int64_t *row,
                             const int64_t *index, int64_t n, uint64_t count, uint32_t part, const Constants *constants,
                             uint32_t most) {
    const Constants k = *constants;
    const Draw draw = make_draw(count, part);
    Cells c = {};
    int64_t next = 0, busy = 0;
    const auto load = [&](int j) {
        const int64_t i = c.cell[j] = next < n ? next++ : -1;
        c.iteration[j] = c.up[j] = c.other[j] = 0;
        if (i < 0) return;
        busy++;
        c.trimmed[j] = trimmed[i];
        c.filled[j] = filled ? filled[i] : 0.0f;
        c.target[j] = target[i];
        c.block[j] = static_cast<uint32_t>(index[i] / (4 * LANES) * LANES + index[i] % LANES);
        c.lane[j] = static_cast<uint32_t>(index[i] / LANES % 4);
        set_key(c.key, j, keys[row[i]]);
    };
    for (int j = 0; j < LANES; j++) load(j);
    while (busy > 0) {
        float normal[LANES], excess[LANES];
        uint32_t good[LANES], pulse[LANES];
        draw_lanes(normal, c, draw, 0);
        for (int j = 0; j < LANES; j++) {
            excess[j] = (c.trimmed[j] + c.filled[j]) * (1.0f + k.verify_noise * normal[j]) - c.target[j];
            const float size = excess[j] < 0.0f ? -excess[j] : excess[j];
            const uint32_t off = (c.target[j] == 0.0f) & (excess[j] < 3.0f * k.reset);
            good[j] = (size <= k.margin) | off;
        }
        for (int j = 0; j < LANES; j++) {
            const int64_t i = c.cell[j];
            pulse[j] = i >= 0 && !good[j] && c.iteration[j] < most;
            if (i < 0 || pulse[j]) continue;
            trimmed[i] = c.trimmed[j];
            if (filled) filled[i] = c.filled[j];
            up[i] = static_cast<uint8_t>(c.up[j]);
            other[i] = static_cast<uint8_t>(c.other[j]);
            iterations[i] = static_cast<uint8_t>(c.iteration[j]);
            converged[i] = static_cast<uint8_t>(good[j]);
            busy--;
            load(j);  // read in the next round
        }
        draw_lanes(normal, c, draw, 1);
        for (int j = 0; j < LANES; j++) {
            const uint32_t rises = excess[j] < 0.0f;
            const uint32_t full = c.trimmed[j] >= k.top_share * k.g_device;
            const uint32_t off = (c.trimmed[j] < 3.0f * k.reset) & (c.filled[j] > c.trimmed[j]);
            const uint32_t second = (filled != nullptr) & (rises ? full : off);
            const float moved = pulsed(second ? c.filled[j] : c.trimmed[j], excess[j], normal[j], k);
            c.trimmed[j] = (pulse[j] & (second ^ 1u)) ? moved : c.trimmed[j];
            c.filled[j] = (pulse[j] & second) ? moved : c.filled[j];
            c.up[j] += pulse[j] & rises;
            c.other[j] += pulse[j] & second;
            c.iteration[j] += pulse[j];
        }
    }
}
