// Elementary functions that the compiler can run on sixteen lanes, and a table that is read between its points.
#pragma once
#include <cstdint>
#include <cstring>

// e^x for x in -60 to 60 (cut beyond: no denormal numbers, which are slow), to 2e-7: Cephes' polynomial on a half power of two.
inline float exp_of(float x) {
    x = x < -60.0f ? -60.0f : x > 60.0f ? 60.0f : x;
    const float n = __builtin_rintf(x * 1.44269504088896341f);
    const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return (p * r * r + r + 1.0f) * power;
}

// A function between equally spaced points: y[0] at 0, y[n] at n / scale.
struct Table {
    const float *y;
    float scale;
    int32_t n;
};

inline float at(const Table &t, float x) {
    float place = x * t.scale;
    place = place < 0.0f ? 0.0f : place;
    int32_t i = static_cast<int32_t>(place);
    i = i > t.n - 1 ? t.n - 1 : i;
    float rest = place - static_cast<float>(i);
    rest = rest > 1.0f ? 1.0f : rest;
    return t.y[i] + (t.y[i + 1] - t.y[i]) * rest;
}

inline uint16_t to_half(float x) {  // bfloat16, rounded to the nearest
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

inline float from_half(uint16_t half) {
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
