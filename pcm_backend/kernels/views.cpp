// What a read of each cell and of each line gives now: all devices are walked once.
#include <vector>

#include "device.h"
#include "memory.h"

namespace {

// Devices of all chips as they stand: shape (chips, slices, 2, lines, rows).
struct Devices {
    const float *g, *nu;
    const int32_t *epoch;  // place of each device's moment of programming, or null: all have the first
    const float *growth;   // ln((age + t0) / t0) of each chip and moment
    int64_t moments;
};

// Mean and variance of the current of the cells of one line.
template <Noise noise>
void line_moments(const Reader &reader, const Devices &d, int64_t chip, int64_t plus, int64_t minus, int64_t rows,
                  float *__restrict mean, float *__restrict variance) {
    const float *growth = d.growth + chip * d.moments;
    const float *gp = d.g + plus, *gm = d.g + minus, *np = d.nu + plus, *nm = d.nu + minus;
    if (d.epoch) {
        const int32_t *ep = d.epoch + plus, *em = d.epoch + minus;
        for (int64_t i = 0; i < rows; i++) {
            float a, b, va, vb;
            moments<noise>(reader, gp[i], np[i], growth[ep[i]], a, va);
            moments<noise>(reader, gm[i], nm[i], growth[em[i]], b, vb);
            mean[i] = a - b;
            variance[i] = va + vb;
        }
    } else {
        const float same = growth[0];
        for (int64_t i = 0; i < rows; i++) {
            float a, b, va, vb;
            moments<noise>(reader, gp[i], np[i], same, a, va);
            moments<noise>(reader, gm[i], nm[i], same, b, vb);
            mean[i] = a - b;
            variance[i] = va + vb;
        }
    }
}

using LineMoments = void (*)(const Reader &, const Devices &, int64_t, int64_t, int64_t, int64_t, float *, float *);

inline LineMoments choose(int64_t noise) {
    return noise == 0 ? line_moments<NONE> : noise == 1 ? line_moments<PLAIN> : line_moments<CUT>;
}

}  // namespace

// Mean and variance of every cell in units of weights, the rows that hold the same weight merged where copies > 1.
// mean and variance may each be null; variance is float, or bfloat16 where half is set. per_us: (chips, slices x lines).
extern "C" void view(float *mean, void *variance, int64_t half, const float *g, const float *nu, const int32_t *epoch,
                     const float *growth, int64_t moments, const float *q, int64_t q_n, float q_scale, float since_start,
                     int64_t noise, const float *per_us, int64_t first, int64_t last, int64_t slices, int64_t lines,
                     int64_t rows, int64_t copies) {
    const Reader reader = {{q, q_scale, static_cast<int32_t>(q_n)}, since_start};
    const Devices d = {g, nu, epoch, growth, moments};
    const LineMoments walk = choose(noise);
    const int64_t n_in = rows / copies, cells = lines * rows, per_chip = slices * lines * n_in, bytes = half ? 2 : 4;
    if (mean) prefer_large_pages(mean + first * per_chip, (last - first) * per_chip * 4);
    if (variance)
        prefer_large_pages(static_cast<char *>(variance) + first * per_chip * bytes, (last - first) * per_chip * bytes);
    std::vector<float> room(static_cast<size_t>(2 * rows));
    float *m = room.data(), *v = m + rows;
    for (int64_t k = first; k < last; k++)
        for (int64_t s = 0; s < slices; s++)
            for (int64_t l = 0; l < lines; l++) {
                const int64_t plus = ((k * slices + s) * 2) * cells + l * rows, line = (k * slices + s) * lines + l;
                walk(reader, d, k, plus, plus + cells, rows, m, v);
                for (int64_t c = 1; c < copies; c++)
                    for (int64_t i = 0; i < n_in; i++) {
                        m[i] += m[c * n_in + i];
                        v[i] += v[c * n_in + i];
                    }
                const float scale = per_us[line] / static_cast<float>(copies), square = scale * scale;
                if (mean)
                    for (int64_t i = 0; i < n_in; i++) mean[line * n_in + i] = m[i] * scale;
                if (variance && half)
                    for (int64_t i = 0; i < n_in; i++)
                        static_cast<uint16_t *>(variance)[line * n_in + i] = to_half(v[i] * square);
                else if (variance)
                    for (int64_t i = 0; i < n_in; i++) static_cast<float *>(variance)[line * n_in + i] = v[i] * square;
            }
}

// Sums over the rows of every line on each core of c^2, s^2, c^2 s^2, s^4, of the chips of a list.
// edges: first row of each core, and the end. sums: (chips of the list, slices, lines, cores, 4).
extern "C" void line_sums(double *sums, const int64_t *chip, int64_t first, int64_t last, const int64_t *edges, int64_t cores,
                          const float *g, const float *nu, const int32_t *epoch, const float *growth, int64_t moments,
                          const float *q, int64_t q_n, float q_scale, float since_start, int64_t noise, int64_t slices,
                          int64_t lines, int64_t rows) {
    const Reader reader = {{q, q_scale, static_cast<int32_t>(q_n)}, since_start};
    const Devices d = {g, nu, epoch, growth, moments};
    const LineMoments walk = choose(noise);
    const int64_t cells = lines * rows;
    std::vector<float> room(static_cast<size_t>(2 * rows));
    float *m = room.data(), *v = m + rows;
    for (int64_t n = first; n < last; n++)
        for (int64_t s = 0; s < slices; s++)
            for (int64_t l = 0; l < lines; l++) {
                const int64_t plus = ((chip[n] * slices + s) * 2) * cells + l * rows;
                walk(reader, d, chip[n], plus, plus + cells, rows, m, v);
                for (int64_t core = 0; core < cores; core++) {
                    float c2 = 0.0f, s2 = 0.0f, c2s2 = 0.0f, s4 = 0.0f;
                    for (int64_t i = edges[core]; i < edges[core + 1]; i++) {
                        const float cc = m[i] * m[i];
                        c2 += cc;
                        s2 += v[i];
                        c2s2 += cc * v[i];
                        s4 += v[i] * v[i];
                    }
                    double *to = sums + (((n * slices + s) * lines + l) * cores + core) * 4;
                    to[0] = c2, to[1] = s2, to[2] = c2s2, to[3] = s4;
                }
            }
}
