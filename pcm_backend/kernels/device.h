// What a read of a device gives, by the fits of its kind.
#pragma once
#include "math.h"

// How a read is noisy.
enum Noise { NONE, PLAIN, CUT };

struct Reader {
    Table q;            // read noise over conductance, by programmed conductance in uS
    float since_start;  // ln((t0 + t_read) / (2 t_read))
};

// Mean and variance of a read: drifted conductance, read noise, and, where it matters, the cut at zero.
template <Noise noise>
inline __attribute__((always_inline)) void moments(const Reader &reader, float g, float nu, float growth, float &mean,
                                                   float &variance) {
    mean = g * exp_of(-nu * growth);
    variance = 0.0f;
    if constexpr (noise == NONE) return;
    const float q = at(reader.q, g), s2 = q * q * (growth + reader.since_start);
    variance = mean * mean * s2;
    if constexpr (noise != CUT) return;
    // For g (1 + s N) cut at zero: mean g (Phi(1/s) + s phi(1/s)), second moment g^2 ((1 + s^2) Phi + s phi).
    const float s = __builtin_sqrtf(s2 + 1e-6f), x = 1.0f / s;
    const float bell = 0.3989422804f * exp_of(-0.5f * x * x);
    // Abramowitz and Stegun 26.2.17: absolute error below 1e-7.
    const float t = 1.0f / (1.0f + 0.2316419f * x);
    const float tail =
        bell * t *
        (0.319381530f + t * (-0.356563782f + t * (1.781477937f + t * (-1.821255978f + t * 1.330274429f))));
    const float upper = 1.0f - tail, edge = s * bell, first = upper + edge;
    float rest = (1.0f + s2) * upper + edge - first * first;
    rest = rest > 0.0f ? rest : 0.0f;
    variance = mean * mean * rest;
    mean *= first;
}
