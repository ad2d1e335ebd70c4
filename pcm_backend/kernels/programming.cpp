// The first programming of all devices by their fits.
#include <vector>

#include "device.h"
#include "memory.h"
#include "philox.h"

namespace {

// Sums of a line that was just programmed: of c^2, s^2, c^2 s^2 and s^4.
template <Noise noise>
void sum_fresh(const Reader &reader, const float *plus, const float *minus, const float *nu_plus, const float *nu_minus,
               int64_t rows, double *to) {
    float c2 = 0.0f, s2 = 0.0f, c2s2 = 0.0f, s4 = 0.0f;
    for (int64_t i = 0; i < rows; i++) {
        float mean_p, var_p, mean_m, var_m;
        moments<noise>(reader, plus[i], nu_plus[i], 0.0f, mean_p, var_p);
        moments<noise>(reader, minus[i], nu_minus[i], 0.0f, mean_m, var_m);
        const float c = mean_p - mean_m, v = var_p + var_m, cc = c * c;
        c2 += cc;
        s2 += v;
        c2s2 += cc * v;
        s4 += v * v;
    }
    to[0] = c2, to[1] = s2, to[2] = c2s2, to[3] = s4;
}

constexpr int64_t BINS = 32;  // of pulse_counts.py

}  // namespace

// Program every device of one slice of each chip, and sum up its lines as they are a moment later.
// aim: wanted difference of each cell, uS; shared: of one chip for all. fits: tables of error, mean and deviation of the
// drift exponent, by target in uS, n + 1 points each, and of q with q_n + 1. quiet_off: a target of zero conducts zero.
// sums: (chips, lines, 4) of c^2, s^2, c^2 s^2, s^4. g and nu: of the slice, stride: from chip to chip.
// counts: (chips or 1, bins + 1) targets of zero, and of each bin without its lower end; bin_scale: bins in a uS.
extern "C" void program_all(float *g, float *nu, int64_t stride, double *sums, const float *aim, int64_t shared,
                            const float *fits, int64_t n, float fit_scale, const float *q, int64_t q_n, float q_scale,
                            float since_start, int64_t noise, int64_t quiet_off, const uint64_t *keys, uint64_t draw,
                            int64_t first, int64_t last, int64_t lines, int64_t rows, int64_t *counts,
                            float bin_scale) {
    const Table error = {fits, fit_scale, static_cast<int32_t>(n)}, mean = {fits + n + 1, fit_scale, static_cast<int32_t>(n)},
                deviation = {fits + 2 * (n + 1), fit_scale, static_cast<int32_t>(n)};
    const Reader reader = {{q, q_scale, static_cast<int32_t>(q_n)}, since_start};
    const auto sum = noise == 0 ? sum_fresh<NONE> : noise == 1 ? sum_fresh<PLAIN> : sum_fresh<CUT>;
    const int64_t cells = lines * rows, together = rows >= 1024 ? 1 : 1024 / rows;  // lines
    const Draw draw_g = make_draw(draw, 0), draw_nu = make_draw(draw, 1);
    const size_t kept = static_cast<size_t>(shared ? cells : together * rows);
    std::vector<float> fit(3 * kept), room(static_cast<size_t>(together * rows + 2 * GROUP) * 4);
    prefer_large_pages(g + first * stride, (last - first) * stride * 4);
    prefer_large_pages(nu + first * stride, (last - first) * stride * 4);
    const float off[3] = {quiet_off ? 0.0f : at(error, 0.0f), at(mean, 0.0f), at(deviation, 0.0f)};
    for (int64_t k = first; k < last; k++)
        for (int64_t line = 0; line < lines; line += together) {
            const int64_t some = (lines - line < together ? lines - line : together) * rows, start = line * rows;
            const float *a = aim + (shared ? 0 : k * cells) + start;
            float *e = fit.data() + (shared ? start : 0), *m = e + kept, *s = m + kept;
            if (!shared || k == 0) {  // of what all chips share, the first counts for all
                int64_t *count = counts + (shared ? 0 : k * (BINS + 1));
                for (int64_t i = 0; i < some; i++) {
                    const float place = __builtin_ceilf(__builtin_fabsf(a[i]) * bin_scale);
                    count[place < BINS ? static_cast<int64_t>(place) : BINS]++;
                }
                count[0] += some;  // the other polarity
            }
            if (!shared || k == first)
                for (int64_t i = 0; i < some; i++) {
                    const float target = __builtin_fabsf(a[i]);
                    e[i] = at(error, target);
                    m[i] = at(mean, target);
                    s[i] = at(deviation, target);
                }
            float *block = room.data();
            const int64_t size = together * rows + 2 * GROUP;
            const float *drawn[4];
            for (int p = 0; p < 2; p++) {
                drawn[2 * p] = normal_range(block + 2 * p * size, keys[k], draw_g, p * cells + start, some);
                drawn[2 * p + 1] = normal_range(block + (2 * p + 1) * size, keys[k], draw_nu, p * cells + start, some);
            }
            for (int p = 0; p < 2; p++) {
                const float sign = p ? -1.0f : 1.0f, *zg = drawn[2 * p], *zn = drawn[2 * p + 1];
                float *to_g = g + k * stride + p * cells + start, *to_nu = nu + k * stride + p * cells + start;
                for (int64_t i = 0; i < some; i++) {
                    const float target = sign * a[i];
                    const bool on = target > 0.0f;
                    const float drawn_g = (on ? target : 0.0f) + (on ? e[i] : off[0]) * zg[i];
                    to_g[i] = drawn_g > 0.0f ? drawn_g : 0.0f;
                    to_nu[i] = __builtin_fabsf((on ? m[i] : off[1]) + (on ? s[i] : off[2]) * zn[i]);
                }
            }
            for (int64_t l = 0; l * rows < some; l++) {
                const float *plus = g + k * stride + start + l * rows, *minus = plus + cells;
                const float *nu_plus = nu + k * stride + start + l * rows, *nu_minus = nu_plus + cells;
                double *to = sums + (k * lines + line + l) * 4;
                sum(reader, plus, minus, nu_plus, nu_minus, rows, to);
            }
        }
}
