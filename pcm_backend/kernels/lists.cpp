// Devices of a list: read, and programmed by their fits.
#include "device.h"
#include "philox.h"

namespace {

template <Noise noise>
void read_list(const Reader &reader, float *mean, float *variance, const float *g, const float *nu, const int32_t *epoch,
               const float *growth, int64_t moments_of_chip, const int64_t *chip, const int64_t *flat, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        float here[LANES], exponent[LANES], grown[LANES], m[LANES], v[LANES];
        for (int j = 0; j < LANES; j++) {
            const int64_t from = i + j < n ? i + j : n - 1, at = flat[from];
            here[j] = g[at];
            exponent[j] = nu[at];
            grown[j] = growth[chip[from] * moments_of_chip + (epoch ? epoch[at] : 0)];
        }
        for (int j = 0; j < LANES; j++) moments<noise>(reader, here[j], exponent[j], grown[j], m[j], v[j]);
        const size_t bytes = static_cast<size_t>(n - i < LANES ? n - i : LANES) * sizeof(float);
        memcpy(mean + i, m, bytes);
        if (noise != NONE) memcpy(variance + i, v, bytes);
    }
}

}  // namespace

// Mean and variance of a read of the devices of a list; flat: their places in the flattened arrays.
extern "C" void moments_list(float *mean, float *variance, const float *g, const float *nu, const int32_t *epoch,
                             const float *growth, int64_t moments_of_chip, const float *q, int64_t q_n, float q_scale,
                             float since_start, int64_t noise, const int64_t *chip, const int64_t *flat, int64_t n) {
    const Reader reader = {{q, q_scale, static_cast<int32_t>(q_n)}, since_start};
    const auto read = noise == 0 ? read_list<NONE> : noise == 1 ? read_list<PLAIN> : read_list<CUT>;
    read(reader, mean, variance, g, nu, epoch, growth, moments_of_chip, chip, flat, n);
}

// Program the devices of a list: state in, and also what became of them, in the order of the list.
// place: their numbers in the draw; fits as in program_all.
extern "C" void program_list(float *g, float *nu, int32_t *epoch, int32_t moment, float *new_g, float *new_nu,
                             const float *target, const float *fits, int64_t points, float fit_scale, int64_t quiet_off,
                             const uint64_t *keys, uint64_t draw, const int64_t *chip, const int64_t *place,
                             const int64_t *flat, int64_t n) {
    const int32_t last = static_cast<int32_t>(points);
    const Table error = {fits, fit_scale, last}, mean = {fits + points + 1, fit_scale, last},
                deviation = {fits + 2 * (points + 1), fit_scale, last};
    const Draw draw_g = make_draw(draw, 0), draw_nu = make_draw(draw, 1);
    for (int64_t i = 0; i < n; i += LANES) {
        const int count = n - i < LANES ? static_cast<int>(n - i) : LANES;
        uint64_t key[LANES];
        int64_t number[LANES];
        float aim[LANES], zg[LANES], zn[LANES], drawn[LANES], exponent[LANES];
        for (int j = 0; j < LANES; j++) {
            const int64_t from = i + j < n ? i + j : n - 1;
            key[j] = keys[chip[from]];
            number[j] = place[from];
            aim[j] = target[from];
        }
        normals_at(zg, key, number, draw_g);
        normals_at(zn, key, number, draw_nu);
        for (int j = 0; j < LANES; j++) {
            const float around = aim[j] + at(error, aim[j]) * zg[j];
            drawn[j] = (quiet_off && aim[j] == 0.0f) || around < 0.0f ? 0.0f : around;
            exponent[j] = __builtin_fabsf(at(mean, aim[j]) + at(deviation, aim[j]) * zn[j]);
        }
        for (int j = 0; j < count; j++) {
            g[flat[i + j]] = new_g[i + j] = drawn[j];
            nu[flat[i + j]] = new_nu[i + j] = exponent[j];
            epoch[flat[i + j]] = moment;
        }
    }
}
