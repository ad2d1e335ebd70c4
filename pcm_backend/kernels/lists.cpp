// Devices of a list: read, and programmed by their fits.
#include "device.h"
#include "philox.h"

namespace {

constexpr int64_t AHEAD = 4 * LANES;  // cells whose memory is asked for before it is their turn

template <Noise noise>
void read_list(const Reader &reader, float *mean, float *variance, const float *g, const float *nu, const int32_t *epoch,
               const float *growth, int64_t moments_of_chip, const int64_t *chip, const int64_t *flat, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        float here[LANES], exponent[LANES], grown[LANES], m[LANES], v[LANES];
        for (int j = 0; j < LANES && i + AHEAD + j < n; j++) {
            __builtin_prefetch(g + flat[i + AHEAD + j]);
            __builtin_prefetch(nu + flat[i + AHEAD + j]);
            if (epoch) __builtin_prefetch(epoch + flat[i + AHEAD + j]);
        }
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
        for (int j = 0; j < LANES && i + AHEAD + j < n; j++) {
            __builtin_prefetch(g + flat[i + AHEAD + j], 1);
            __builtin_prefetch(nu + flat[i + AHEAD + j], 1);
            __builtin_prefetch(epoch + flat[i + AHEAD + j], 1);
        }
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

// Replace what cells contribute to the sums of their lines: c^2, s^2, c^2 s^2, s^4. Moments: (2, n), variances may be null.
extern "C" void move_sums(double *sums, const int64_t *line, const float *mean_before, const float *variance_before,
                          const float *mean_after, const float *variance_after, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const double b = mean_before[i] - mean_before[n + i], a = mean_after[i] - mean_after[n + i];
        const double vb = variance_before ? variance_before[i] + variance_before[n + i] : 0.0f;
        const double va = variance_after ? variance_after[i] + variance_after[n + i] : 0.0f;
        double *to = sums + 4 * line[i];
        to[0] += a * a - b * b;
        to[1] += va - vb;
        to[2] += a * a * va - b * b * vb;
        to[3] += va * va - vb * vb;
    }
}

// How many numbers of each line are not zero (NaN is not).
extern "C" void count_nonzero(int64_t *counts, const float *x, int64_t lines, int64_t n) {
    for (int64_t l = 0; l < lines; l++) {
        int32_t count = 0;
        for (int64_t i = 0; i < n; i++) count += x[l * n + i] != 0.0f;
        counts[l] = count;
    }
}

// Chip, line, row and value of the numbers that are not zero; counts and first: of every line, and where its list begins.
extern "C" void find_nonzero(int64_t *chip, int64_t *line, int64_t *row, float *value, const float *x,
                             const int64_t *counts, const int64_t *first, int64_t chips, int64_t lines, int64_t n) {
    for (int64_t k = 0; k < chips; k++)
        for (int64_t l = 0; l < lines; l++) {
            const int64_t at = k * lines + l;
            const float *from = x + at * n;
            int64_t to = first[at];
            const int64_t end = to + counts[at];
            for (int64_t begin = 0; to < end; begin += LANES) {
                const int64_t stop = n - begin < LANES ? n : begin + LANES;
                bool some = false;
                for (int64_t i = begin; i < stop; i++) some |= from[i] != 0.0f;
                if (!some) continue;
                for (int64_t i = begin; i < stop; i++)
                    if (from[i] != 0.0f) {
                        chip[to] = k;
                        line[to] = l;
                        row[to] = i;
                        value[to++] = from[i];
                    }
            }
        }
}
