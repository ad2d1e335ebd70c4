// The stages of a read beside the matrix product: inputs' converter, products of single vectors, noise, outputs' converter.
#include <vector>

#include "math.h"
#include "philox.h"

namespace {

// Largest magnitude, as the bits of a float: magnitudes are ordered as their bits, infinity and NaN come last, and a
// maximum of whole numbers needs no rule for NaN, so it runs on all lanes.
inline int32_t largest_bits(const float *x, int64_t n) {
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7FFFFFFF;
        most = bits > most ? bits : most;
    }
    return most;
}

constexpr int32_t INFINITE = 0x7F800000;

inline float as_float(int32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

// Round to whole steps and back, clipped; z may be x.
inline void convert(const float *x, float *z, int64_t n, float scale, float steps) {
    const float up = steps / scale, down = scale / steps;
    for (int64_t i = 0; i < n; i++) {
        float q = __builtin_rintf(x[i] * up);
        q = q > steps ? steps : q;
        q = q < -steps ? -steps : q;
        z[i] = q * down;
    }
}

}  // namespace

// Convert vectors of inputs, append the row of the bias, and square; returns the number of vectors that are not finite.
// full_scale 0: the largest of each vector; steps 0: no converter; power: may be null, bfloat16 where half is set.
extern "C" int64_t drive(const float *x, float *volts, void *power, int64_t half, int64_t vectors, int64_t n_in,
                         int64_t has_bias, float bias, float full_scale, float steps) {
    const int64_t n = n_in + has_bias;
    int64_t bad = 0;
    for (int64_t v = 0; v < vectors; v++) {
        const float *from = x + v * n_in;
        float *to = volts + v * n;
        const int32_t most = largest_bits(from, n_in);
        bad += most >= INFINITE;
        if (steps > 0.0f) {
            float scale = full_scale;
            if (scale == 0.0f) {
                scale = as_float(most);
                if (has_bias) scale = __builtin_fabsf(bias) > scale ? __builtin_fabsf(bias) : scale;
                scale = scale > 1e-30f ? scale : 1e-30f;
            }
            convert(from, to, n_in, scale, steps);
            if (has_bias) convert(&bias, to + n_in, 1, scale, steps);
        } else {
            memcpy(to, from, static_cast<size_t>(n_in) * sizeof(float));
            if (has_bias) to[n_in] = bias;
        }
        if (power && half) {
            uint16_t *square = static_cast<uint16_t *>(power) + v * n;
            for (int64_t i = 0; i < n; i++) square[i] = to_half(to[i] * to[i]);
        } else if (power) {
            float *square = static_cast<float *>(power) + v * n;
            for (int64_t i = 0; i < n; i++) square[i] = to[i] * to[i];
        }
    }
    return bad;
}

// Products of one vector with each chip's matrix, and of its square with the variances: one pass over both.
extern "C" void products(const float *volts, const float *mean, const uint16_t *variance, float *y, float *power,
                         int64_t first, int64_t last, int64_t lines, int64_t n) {
    std::vector<float> square(static_cast<size_t>(n));
    for (int64_t k = first; k < last; k++) {
        const float *x = volts + k * n;
        if (!variance) {
            for (int64_t l = 0; l < lines; l++) {
                const float *m = mean + (k * lines + l) * n;
                float sum = 0.0f;
                for (int64_t i = 0; i < n; i++) sum += m[i] * x[i];
                y[k * lines + l] = sum;
            }
            continue;
        }
        float *x2 = square.data();
        for (int64_t i = 0; i < n; i++) x2[i] = x[i] * x[i];
        for (int64_t l = 0; l < lines; l++) {
            const float *m = mean + (k * lines + l) * n;
            const uint16_t *s = variance + (k * lines + l) * n;
            float sum = 0.0f, sum2 = 0.0f;
            for (int64_t i = 0; i < n; i++) {
                sum += m[i] * x[i];
                sum2 += from_half(s[i]) * x2[i];
            }
            y[k * lines + l] = sum;
            power[k * lines + l] = sum2;
        }
    }
}

// Noise, outputs' converter, factors, and the sum of the parts (slices and cores of rows) that share lines.
// power: may be null, no noise; bfloat16 where half is set. range: full scale of each current, null: the largest of each part. steps 0: no converter.
// repeats: for each chip the doublings of all its vectors, may be null where doublings is 0.
extern "C" void finish(float *out, const float *y, const void *power, int64_t half, const float *factor, const float *range,
                       double *repeats, const uint64_t *keys, uint64_t draw, int64_t first_chip, int64_t last_chip,
                       int64_t batch, int64_t parts, int64_t lines, float steps, int64_t doublings) {
    const int64_t currents = parts * lines;
    const int64_t together = currents >= 4096 ? 1 : 4096 / currents;  // vectors whose noise is drawn in one go
    std::vector<float> noise(static_cast<size_t>(together * currents + 2 * GROUP)), buffer(static_cast<size_t>(2 * currents));
    float *z = buffer.data(), *share = z + currents;
    const Draw d = make_draw(draw, 0);
    for (int64_t k = first_chip; k < last_chip; k++) {
        double doubled = 0.0;
        for (int64_t first = 0; first < batch; first += together) {
            const int64_t some = batch - first < together ? batch - first : together;
            const float *drawn = power ? normal_range(noise.data(), keys[k], d, first * currents, some * currents) : nullptr;
            for (int64_t b = 0; b < some; b++) {
                const int64_t vector = k * batch + first + b;
                const float *from = y + vector * currents;
                const float *n = drawn + b * currents;
                if (power && half) {
                    const uint16_t *p = static_cast<const uint16_t *>(power) + vector * currents;
                    for (int64_t c = 0; c < currents; c++) z[c] = from[c] + __builtin_sqrtf(from_half(p[c])) * n[c];
                } else if (power) {
                    const float *p = static_cast<const float *>(power) + vector * currents;
                    for (int64_t c = 0; c < currents; c++) z[c] = from[c] + __builtin_sqrtf(p[c]) * n[c];
                } else {
                    memcpy(z, from, static_cast<size_t>(currents) * sizeof(float));
                }
                float *to = out + vector * lines;
                const float *f = factor + k * currents;
                float grown = 1.0f;
                if (steps > 0.0f && range && doublings) {
                    for (int64_t c = 0; c < currents; c++) share[c] = z[c] / range[c];
                    const float excess = as_float(largest_bits(share, currents));
                    int64_t times = 0;
                    for (; times < doublings && grown < excess; times++) grown *= 2.0f;
                    doubled += static_cast<double>(times);
                }
                for (int64_t p = 0; p < parts; p++) {
                    float *zp = z + p * lines;
                    const float *fp = f + p * lines;
                    if (steps > 0.0f && range) {
                        const float *r = range + p * lines;
                        for (int64_t l = 0; l < lines; l++) {
                            const float scale = r[l] * grown;
                            float q = __builtin_rintf(zp[l] * (steps / scale));
                            q = q > steps ? steps : q < -steps ? -steps : q;
                            zp[l] = q * (scale / steps);
                        }
                    } else if (steps > 0.0f) {
                        const float scale = as_float(largest_bits(zp, lines));
                        convert(zp, zp, lines, scale > 1e-30f ? scale : 1e-30f, steps);
                    }
                    if (p == 0)
                        for (int64_t l = 0; l < lines; l++) to[l] = zp[l] * fp[l];
                    else
                        for (int64_t l = 0; l < lines; l++) to[l] += zp[l] * fp[l];
                }
            }
        }
        if (repeats) repeats[k] = doubled;
    }
}
