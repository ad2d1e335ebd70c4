// Sums of the rows that spike: what rests is not looked at.
#include <cstdint>
#include <cstring>

// rows: mean, and behind it the variance where power is not null, of each row of each chip: (chips, n_in, currents or
// twice as many).
extern "C" void spike_sums(const float *spikes, const float *rows, float *y, float *power, int64_t chips, int64_t batch,
                           int64_t n_in, int64_t currents) {
    const int64_t width = power ? 2 * currents : currents;
    for (int64_t k = 0; k < chips; k++)
        for (int64_t b = 0; b < batch; b++) {
            const int64_t vector = k * batch + b;
            const float *spike = spikes + vector * n_in;
            float *to = y + vector * currents, *to2 = power ? power + vector * currents : nullptr;
            memset(to, 0, static_cast<size_t>(currents) * sizeof(float));
            if (to2) memset(to2, 0, static_cast<size_t>(currents) * sizeof(float));
            for (int64_t i = 0; i < n_in; i++) {
                if (spike[i] == 0.0f) continue;
                const float *row = rows + (k * n_in + i) * width;
                for (int64_t c = 0; c < currents; c++) to[c] += row[c];
                if (to2)
                    for (int64_t c = 0; c < currents; c++) to2[c] += row[currents + c];
            }
        }
}
