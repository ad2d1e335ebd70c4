// Inner loops of the spiking networks, for the rows (sequences) or columns of one thread at a time.
//
// Arrays are float32 and time first: x[t][row][neuron]. What they compute is what spiking.py computes in torch; here a
// spike adds one weight row, a silent neuron costs nothing, and a target's own weights stay in cache over all steps.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

inline void add_row(float* __restrict__ to, const float* __restrict__ from, int64_t n) {
    for (int64_t j = 0; j < n; ++j) to[j] += from[j];
}

inline float dot(const float* __restrict__ a, const float* __restrict__ b, int64_t n) {
    float sum = 0.0f;
    for (int64_t j = 0; j < n; ++j) sum += a[j] * b[j];
    return sum;
}

// Call f(i) wherever z[i] is not 0; blocks of silence are passed over at once.
template <typename Function>
inline void each_spike(const float* z, int64_t n, Function f) {
    constexpr int64_t block = 32;
    for (int64_t start = 0; start < n; start += block) {
        const int64_t end = std::min(start + block, n);
        float any = 0.0f;
        if (end - start == block)
            for (int64_t k = 0; k < block; ++k) any += z[start + k];
        else
            for (int64_t i = start; i < end; ++i) any += z[i];
        if (any == 0.0f) continue;
        for (int64_t i = start; i < end; ++i)
            if (z[i] != 0.0f) f(i);
    }
}

}  // namespace

extern "C" {

// Run rows [first_row, last_row); row r uses the weights of group r / per_group.
void run_rows(const float* current, const float* w_rec, float* z, float* s, float* slope, float* raised,
              int64_t n_steps, int64_t n_rows, int64_t n, int64_t n_adaptive, int64_t per_group, int64_t refractory,
              float threshold, float beta, float decay, float decay_b, float dampening, int64_t first_row,
              int64_t last_row) {
    const int64_t plain = n - n_adaptive;
    const float height = dampening / threshold, tilt = height / threshold;
    const float silent = -std::numeric_limits<float>::infinity();  // neither spike nor derivative
    std::vector<float> v(n), b(n_adaptive);
    std::vector<int32_t> awake_at(n), spiking, next;
    for (int64_t r = first_row; r < last_row; ++r) {
        const float* w = w_rec + (r / per_group) * n * n;
        v.assign(n, 0.0f), b.assign(n_adaptive, 0.0f), awake_at.assign(n, 0), spiking.clear();
        for (int32_t t = 0; t < n_steps; ++t) {
            const float* in = current + (t * n_rows + r) * n;
            float *zt = z + (t * n_rows + r) * n, *st = s + (t * n_rows + r) * n;
            float *level = raised + (t * n_rows + r) * n_adaptive, *ht = slope + (t * n_rows + r) * n;
            for (int64_t j = 0; j < n; ++j) v[j] = decay * v[j] + in[j];
            for (int64_t j = 0; j < n_adaptive; ++j) b[j] *= decay_b;
            for (const int64_t i : spiking)
                if (i >= plain) b[i - plain] += 1.0f;
            for (int64_t j = 0; j < n_adaptive; ++j) level[j] = threshold + beta * b[j];
            for (const int64_t i : spiking) {
                add_row(v.data(), w + i * n, n);
                v[i] -= i < plain ? threshold : level[i - plain];
            }
            for (int64_t j = 0; j < plain; ++j) st[j] = v[j] - threshold;
            for (int64_t j = 0; j < n_adaptive; ++j) st[plain + j] = v[plain + j] - level[j];
            next.clear();
            for (int64_t j = 0; j < n; ++j) st[j] = t < awake_at[j] ? silent : st[j];
            for (int64_t j = 0; j < n; ++j) {
                zt[j] = st[j] > 0.0f ? 1.0f : 0.0f;
                ht[j] = std::max(height - tilt * std::fabs(st[j]), 0.0f);
            }
            each_spike(zt, n, [&](int64_t j) { next.push_back(j), awake_at[j] = t + refractory; });
            spiking.swap(next);
        }
    }
}

// Back through rows [first_row, last_row), each with weights of its own; grad_z and push may be null.
void back_rows(const float* grad_z, const float* push, const float* slope, const float* z, const float* w_rec,
               float* grad_v, float* grad_w, int64_t n_steps, int64_t n_rows, int64_t n, float threshold, float decay,
               int64_t first_row, int64_t last_row) {
    for (int64_t r = first_row; r < last_row; ++r) {
        const float* w = w_rec + r * n * n;
        float* gw = grad_w + r * n * n;
        for (int64_t t = n_steps - 1; t >= 0; --t) {
            const int64_t at = (t * n_rows + r) * n;
            float* here = grad_v + at;
            const float* later = t + 1 < n_steps ? here + n_rows * n : nullptr;
            for (int64_t i = 0; i < n; ++i) {
                float onto = push ? push[at + i] : 0.0f;
                if (slope[at + i] != 0.0f) {
                    float onto_z = grad_z ? grad_z[at + i] : 0.0f;
                    if (later) onto_z += dot(w + i * n, later, n) - threshold * later[i];
                    onto += slope[at + i] * onto_z;
                }
                here[i] = onto + (later ? decay * later[i] : 0.0f);
            }
            if (later) each_spike(z + at, n, [&](int64_t i) { add_row(gw + i * n, later, n); });
        }
    }
}

// One step back for rows that share their weights; onto_z arrives as the product with them (zeros at the last step).
void back_step(const float* onto_z, const float* grad_z, const float* push, const float* slope, const float* z_before,
               const float* later, const float* level_later, float* onto_b, float* here, int64_t n, int64_t n_adaptive,
               float threshold, float beta, float decay, float decay_b, int64_t first_row, int64_t last_row) {
    const int64_t plain = n - n_adaptive;
    for (int64_t r = first_row; r < last_row; ++r) {
        const int64_t at = r * n;
        float* b = onto_b + r * n_adaptive;
        for (int64_t i = 0; i < n; ++i) {
            const float level = i < plain || !level_later ? threshold : level_later[r * n_adaptive + i - plain];
            const float next = later ? later[at + i] : 0.0f;
            float onto = onto_z[at + i] - level * next + (grad_z ? grad_z[at + i] : 0.0f);
            if (i >= plain) onto += b[i - plain];
            onto = onto * slope[at + i] + (push ? push[at + i] : 0.0f);
            here[at + i] = onto + decay * next;
            if (i >= plain) {
                const float reset = z_before ? z_before[at + i] * here[at + i] : 0.0f;
                b[i - plain] = decay_b * b[i - plain] - beta * (onto + reset);
            }
        }
    }
}

// out[row] = sum of the rows of w at which z[row] is not 0, for rows [first, last).
void sum_rows(const float* z, const float* w, float* out, int64_t n, int64_t m, int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
        for (int64_t j = 0; j < m; ++j) out[r * m + j] = 0.0f;
        each_spike(z + r * n, n, [&](int64_t i) { add_row(out + r * m, w + i * m, m); });
    }
}

// out[i] += grad[row] wherever z[row][i] is not 0, over all rows; columns [first, last) of out and grad.
void scatter_rows(const float* z, const float* grad, float* out, int64_t n_rows, int64_t n, int64_t m, int64_t first,
                  int64_t last) {
    for (int64_t r = 0; r < n_rows; ++r)
        each_spike(z + r * n, n, [&](int64_t i) { add_row(out + i * m + first, grad + r * m + first, last - first); });
}

// out[t] = x[t] + decay out[t - 1], or backwards in time, over columns [first, last).
void leak_columns(const float* x, float* out, int64_t n_steps, int64_t m, float decay, int64_t backwards, int64_t first,
                  int64_t last) {
    for (int64_t k = 0; k < n_steps; ++k) {
        const int64_t t = backwards ? n_steps - 1 - k : k, before = backwards ? t + 1 : t - 1;
        for (int64_t j = first; j < last; ++j)
            out[t * m + j] = x[t * m + j] + (k > 0 ? decay * out[before * m + j] : 0.0f);
    }
}

}  // extern "C"
