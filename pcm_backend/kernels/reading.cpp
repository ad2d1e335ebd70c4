// The stages of a read beside the matrix product: inputs' converter, products of single vectors, noise, outputs' converter.
#include <vector>

#include "philox.h"

namespace {

inline float largest(const float *x, int64_t n) {
    float most = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        const float a = __builtin_fabsf(x[i]);
        most = a > most ? a : most;
    }
    return most;
}

inline float from_half(uint16_t half) {  // bfloat16: the upper half of a float
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

}  // namespace

// Convert vectors of inputs, append the row of the bias, and square; returns the number of vectors that are not finite.
// full_scale 0: the largest of each vector; steps 0: no converter; power: may be null.
extern "C" int64_t drive(const float *x, float *volts, float *power, int64_t vectors, int64_t n_in, int64_t has_bias,
                         float bias, float full_scale, float steps) {
    const int64_t n = n_in + has_bias;
    int64_t bad = 0;
    for (int64_t v = 0; v < vectors; v++) {
        const float *from = x + v * n_in;
        float *to = volts + v * n;
        uint32_t wrong = 0;
        for (int64_t i = 0; i < n_in; i++) {
            uint32_t bits;
            memcpy(&bits, from + i, 4);
            wrong |= (bits & 0x7F800000u) == 0x7F800000u;
        }
        bad += wrong;
        if (steps > 0.0f) {
            float scale = full_scale;
            if (scale == 0.0f) {
                scale = largest(from, n_in);
                if (has_bias) scale = __builtin_fabsf(bias) > scale ? __builtin_fabsf(bias) : scale;
                scale = scale > 1e-30f ? scale : 1e-30f;
            }
            const float up = steps / scale, down = scale / steps;
            for (int64_t i = 0; i < n_in; i++) {
                float z = __builtin_rintf(from[i] * up);
                z = z > steps ? steps : z < -steps ? -steps : z;
                to[i] = z * down;
            }
            if (has_bias) {
                float z = __builtin_rintf(bias * up);
                z = z > steps ? steps : z < -steps ? -steps : z;
                to[n_in] = z * down;
            }
        } else {
            memcpy(to, from, static_cast<size_t>(n_in) * sizeof(float));
            if (has_bias) to[n_in] = bias;
        }
        if (power) {
            float *square = power + v * n;
            for (int64_t i = 0; i < n; i++) square[i] = to[i] * to[i];
        }
    }
    return bad;
}

// Products of one vector with each chip's matrix, and of its square with the variances: one pass over both.
extern "C" void products(const float *volts, const float *mean, const uint16_t *variance, float *y, float *power,
                         int64_t chips, int64_t lines, int64_t n) {
    std::vector<float> square(static_cast<size_t>(n));
    for (int64_t k = 0; k < chips; k++) {
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
// power: may be null, no noise. range: full scale of each current, null: the largest of each part. steps 0: no converter.
// repeats: for each chip the doublings of all its vectors, may be null where doublings is 0.
extern "C" void finish(float *out, const float *y, const float *power, const float *factor, const float *range,
                       double *repeats, const uint64_t *keys, uint64_t draw, int64_t chips, int64_t batch, int64_t parts,
                       int64_t lines, float steps, int64_t doublings) {
    const int64_t currents = parts * lines;
    const int64_t together = currents >= 4096 ? 1 : 4096 / currents;  // vectors whose noise is drawn in one go
    std::vector<float> noise(static_cast<size_t>(together * currents + 2 * GROUP)), buffer(static_cast<size_t>(currents));
    float *z = buffer.data();
    const Draw d = make_draw(draw, 0);
    for (int64_t k = 0; k < chips; k++) {
        double doubled = 0.0;
        for (int64_t first = 0; first < batch; first += together) {
            const int64_t some = batch - first < together ? batch - first : together;
            const float *drawn = power ? normal_range(noise.data(), keys[k], d, first * currents, some * currents) : nullptr;
            for (int64_t b = 0; b < some; b++) {
                const int64_t vector = k * batch + first + b;
                const float *from = y + vector * currents;
                if (power) {
                    const float *p = power + vector * currents, *n = drawn + b * currents;
                    for (int64_t c = 0; c < currents; c++) z[c] = from[c] + __builtin_sqrtf(p[c]) * n[c];
                } else {
                    memcpy(z, from, static_cast<size_t>(currents) * sizeof(float));
                }
                float *to = out + vector * lines;
                const float *f = factor + k * currents;
                float grown = 1.0f;
                if (steps > 0.0f && range && doublings) {
                    float excess = 1.0f;
                    for (int64_t c = 0; c < currents; c++) {
                        const float e = __builtin_fabsf(z[c]) / range[c];
                        excess = e > excess ? e : excess;
                    }
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
                        float scale = largest(zp, lines);
                        scale = scale > 1e-30f ? scale : 1e-30f;
                        const float up = steps / scale, down = scale / steps;
                        for (int64_t l = 0; l < lines; l++) zp[l] = __builtin_rintf(zp[l] * up) * down;
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
