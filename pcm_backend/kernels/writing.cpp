// A whole write on a list of cells: programming.py, write_cells and write_slice, on sixteen cells at once.
#include "device.h"
#include "philox.h"

namespace {

constexpr int64_t AHEAD = 2 * LANES;  // cells whose memory is asked for before it is their turn
constexpr int DRAWS = 5;              // of each slice: sense, switch off, sense that, program, sense that

struct Write {
    float *g, *nu;
    int32_t *epoch;  // place of each device's moment of programming
    int32_t moment;  // the present one
    const float *growth;
    int64_t moments;
    Reader reader;
    Table error, mean, deviation;
    int64_t quiet_off;
    const uint64_t *keys, *draws;  // draws: (slices, DRAWS) counts
    const float *unit;             // (chips, slices, lines, cores)
    const int64_t *edges;          // first row of each core, and the end
    int64_t cores, slices, lines, rows;
    float g_max, off_limit, reads;
    int64_t bins;
    float bin_scale;
};

struct Cells {  // sixteen of them
    uint64_t key[LANES];
    int64_t place[LANES];  // line x rows + row
};

// The two devices of one slice of sixteen cells.
struct Pair {
    int64_t flat[2][LANES], number[2][LANES];  // places in the state, and in the draws
    float mean[2][LANES], variance[2][LANES];  // of a read before the write
    float seen[2][LANES];
    float new_g[2][LANES], new_nu[2][LANES], new_mean[2][LANES], new_variance[2][LANES];
    bool pulsed[2][LANES];
};

// The mean of some noisy reads, cut at zero, of devices with these moments.
template <Noise noise>
__attribute__((noinline)) void sense(float seen[LANES], const float mean[LANES], const float variance[LANES],
                                     const Cells &c, const int64_t number[LANES], uint64_t draw, float reads) {
    if (noise == NONE) {
        for (int j = 0; j < LANES; j++) seen[j] = mean[j];
        return;
    }
    float z[LANES];
    normals_at(z, c.key, number, make_draw(draw, 0));
    for (int j = 0; j < LANES; j++) {
        const float read = mean[j] + __builtin_sqrtf(variance[j] / reads) * z[j];
        seen[j] = read < 0.0f ? 0.0f : read;
    }
}

// Program one device of each cell; the state is not yet touched.
template <Noise noise>
__attribute__((noinline)) void program(const Write &w, const Cells &c, const int64_t number[LANES],
                                       const float target[LANES], uint64_t draw, float g[LANES], float nu[LANES],
                                       float mean[LANES], float variance[LANES]) {
    float zg[LANES], zn[LANES];
    normals_at(zg, c.key, number, make_draw(draw, 0));
    normals_at(zn, c.key, number, make_draw(draw, 1));
    for (int j = 0; j < LANES; j++) {
        const float around = target[j] + at(w.error, target[j]) * zg[j];
        g[j] = (w.quiet_off && target[j] == 0.0f) || around < 0.0f ? 0.0f : around;
        nu[j] = __builtin_fabsf(at(w.mean, target[j]) + at(w.deviation, target[j]) * zn[j]);
    }
    for (int j = 0; j < LANES; j++) moments<noise>(w.reader, g[j], nu[j], 0.0f, mean[j], variance[j]);
}

// Count a programming step: targets by bin of each chip, and conductances in each row.
inline void tally(const Write &w, const float target[LANES], const bool which[LANES], const int64_t *chip,
                  const int64_t *row, int count, int64_t *bin, int64_t *in_row) {
    for (int j = 0; j < count; j++)
        if (which[j]) {
            const float place = __builtin_ceilf(target[j] * w.bin_scale);
            bin[chip[j] * (w.bins + 1) + (place < static_cast<float>(w.bins) ? static_cast<int64_t>(place) : w.bins)]++;
            in_row[chip[j] * w.rows + row[j]]++;
        }
}

template <Noise noise>
void write_list(const Write &w, const int64_t *chip, const int64_t *line, const int64_t *row, const float *delta,
                const float *goals, int64_t first, int64_t n, double *sums, float *error, int64_t *over, int64_t *reads,
                int64_t *bins, int64_t *in_row, int64_t chips) {
    const int64_t cells = w.lines * w.rows;
    for (int64_t i = first; i < n; i += LANES) {
        const int count = n - i < LANES ? static_cast<int>(n - i) : LANES;
        for (int64_t j = i + AHEAD; j < i + AHEAD + LANES && j < n; j++)
            for (int64_t s = 0; s < 2 * w.slices; s++) {
                const int64_t flat = (chip[j] * 2 * w.slices + s) * cells + line[j] * w.rows + row[j];
                __builtin_prefetch(w.g + flat, 1);
                __builtin_prefetch(w.nu + flat, 1);
                __builtin_prefetch(w.epoch + flat, 1);
            }
        Cells c;
        Pair pair[2];
        int64_t core[LANES];
        float unit[2][LANES], held[2][LANES], goal[LANES];
        for (int j = 0; j < LANES; j++) {
            const int64_t from = i + j < n ? i + j : n - 1;  // the last cell fills up what is left of the lanes
            c.key[j] = w.keys[chip[from]];
            c.place[j] = line[from] * w.rows + row[from];
            core[j] = 0;
            while (row[from] >= w.edges[core[j] + 1]) core[j]++;
        }
        for (int64_t s = 0; s < w.slices; s++) {
            Pair &p = pair[s];
            for (int q = 0; q < 2; q++) {
                float g[LANES], nu[LANES], grown[LANES];
                for (int j = 0; j < LANES; j++) {
                    const int64_t from = i + j < n ? i + j : n - 1;
                    p.number[q][j] = q * cells + c.place[j];
                    p.flat[q][j] = ((chip[from] * w.slices + s) * 2 + q) * cells + c.place[j];
                    g[j] = w.g[p.flat[q][j]];
                    nu[j] = w.nu[p.flat[q][j]];
                    grown[j] = w.growth[chip[from] * w.moments + w.epoch[p.flat[q][j]]];
                }
                for (int j = 0; j < LANES; j++)
                    moments<noise>(w.reader, g[j], nu[j], grown[j], p.mean[q][j], p.variance[q][j]);
                for (int j = 0; j < LANES; j++) p.pulsed[q][j] = false;
                sense<noise>(p.seen[q], p.mean[q], p.variance[q], c, p.number[q], w.draws[s * DRAWS], w.reads);
            }
            for (int j = 0; j < LANES; j++) {
                const int64_t from = i + j < n ? i + j : n - 1;
                unit[s][j] = w.unit[((chip[from] * w.slices + s) * w.lines + line[from]) * w.cores + core[j]];
                held[s][j] = (p.seen[0][j] - p.seen[1][j]) / unit[s][j];
            }
        }
        for (int j = 0; j < LANES; j++) {
            const int64_t from = i + j < n ? i + j : n - 1;
            goal[j] = goals ? goals[from] : (w.slices > 1 ? held[0][j] + held[1][j] : held[0][j]) + delta[from];
            const float limit = w.g_max / unit[0][j];
            if (j < count) over[chip[from]] += __builtin_fabsf(goal[j]) > limit;
            goal[j] = goal[j] > limit ? limit : goal[j];
            goal[j] = goal[j] < -limit ? -limit : goal[j];
        }
        for (int64_t s = 0; s < w.slices; s++) {
            Pair &p = pair[s];
            const uint64_t *draw = w.draws + s * DRAWS;
            float aim[LANES], other_seen[LANES], target[LANES], zero[LANES] = {};
            int64_t other_number[LANES], own_number[LANES];
            bool some[LANES], on[LANES], negative[LANES], any = false;
            for (int j = 0; j < LANES; j++) {
                if (s == 0)
                    aim[j] = goal[j] * unit[0][j];
                else
                    aim[j] = (goal[j] - (pair[0].seen[0][j] - pair[0].seen[1][j]) / unit[0][j]) * unit[1][j];
                const bool coarse = w.slices == 1 || s == 1 || __builtin_fabsf(goal[j] - held[0][j]) > w.g_max / unit[1][j];
                some[j] = coarse && j < count;
                negative[j] = aim[j] < 0.0f;
                other_seen[j] = negative[j] ? p.seen[0][j] : p.seen[1][j];
                other_number[j] = negative[j] ? p.number[0][j] : p.number[1][j];
                own_number[j] = negative[j] ? p.number[1][j] : p.number[0][j];
                on[j] = some[j] && other_seen[j] > w.off_limit;
                any |= on[j];
            }
            float g[LANES], nu[LANES], mean[LANES], variance[LANES], again[LANES];
            int64_t *bin = bins + 2 * s * chips * (w.bins + 1), *rows = in_row + 2 * s * chips * w.rows;
            if (any) {
                program<noise>(w, c, other_number, zero, draw[1], g, nu, mean, variance);
                sense<noise>(again, mean, variance, c, other_number, draw[2], w.reads);
                for (int j = 0; j < LANES; j++)
                    if (on[j]) {
                        const int q = negative[j] ? 0 : 1;
                        p.pulsed[q][j] = true;
                        p.new_g[q][j] = g[j], p.new_nu[q][j] = nu[j];
                        p.new_mean[q][j] = mean[j], p.new_variance[q][j] = variance[j];
                        p.seen[q][j] = other_seen[j] = again[j];
                    }
                tally(w, zero, on, chip + i, row + i, count, bin, rows);
                for (int j = 0; j < count; j++) reads[chip[i + j]] += on[j];
            }
            for (int j = 0; j < LANES; j++) {
                const float wanted = __builtin_fabsf(aim[j]) + other_seen[j];
                target[j] = wanted > w.g_max ? w.g_max : wanted;
            }
            program<noise>(w, c, own_number, target, draw[3], g, nu, mean, variance);
            const bool look_again = w.slices > 1 && s == 0;
            if (look_again) sense<noise>(again, mean, variance, c, own_number, draw[4], w.reads);
            for (int j = 0; j < LANES; j++)
                if (some[j]) {
                    const int q = negative[j] ? 1 : 0;
                    p.pulsed[q][j] = true;
                    p.new_g[q][j] = g[j], p.new_nu[q][j] = nu[j];
                    p.new_mean[q][j] = mean[j], p.new_variance[q][j] = variance[j];
                    if (look_again) p.seen[q][j] = again[j];
                }
            tally(w, target, some, chip + i, row + i, count, bin + chips * (w.bins + 1), rows + chips * w.rows);
            if (look_again)
                for (int j = 0; j < count; j++) reads[chip[i + j]] += some[j];
            if (s == w.slices - 1)
                for (int j = 0; j < count; j++) error[i + j] = at(w.error, target[j]) / unit[s][j];
            for (int j = 0; j < count; j++) {
                double before[2] = {p.mean[0][j] - p.mean[1][j], p.variance[0][j] + p.variance[1][j]}, m[2], v[2];
                for (int q = 0; q < 2; q++) {
                    m[q] = p.pulsed[q][j] ? p.new_mean[q][j] : p.mean[q][j];
                    v[q] = p.pulsed[q][j] ? p.new_variance[q][j] : p.variance[q][j];
                    if (p.pulsed[q][j]) {
                        w.g[p.flat[q][j]] = p.new_g[q][j];
                        w.nu[p.flat[q][j]] = p.new_nu[q][j];
                        w.epoch[p.flat[q][j]] = w.moment;
                    }
                }
                const double after = m[0] - m[1], spread = v[0] + v[1];
                double *to = sums + (((chip[i + j] * w.slices + s) * w.lines + line[i + j]) * w.cores + core[j]) * 4;
                to[0] += after * after - before[0] * before[0];
                to[1] += spread - before[1];
                to[2] += after * after * spread - before[0] * before[0] * before[1];
                to[3] += spread * spread - before[1] * before[1];
            }
        }
    }
}

}  // namespace

// Write the cells first to end of a list; goals: weights to aim at, or null: what is seen plus delta.
// Out: sums of the lines, error of each cell in weights; of each chip the cells set to the limit, and the reads beside the
// first; bins: (slices, 2 steps, chips, bins + 1) and in_row: (slices, 2 steps, chips, rows), all zero before.
extern "C" void write_cells(float *g, float *nu, int32_t *epoch, int32_t moment, const float *growth, int64_t moments,
                            const float *q, int64_t q_n, float q_scale, float since_start, int64_t noise,
                            const float *fits, int64_t points, float fit_scale, int64_t quiet_off, const uint64_t *keys,
                            const uint64_t *draws, const float *unit, const int64_t *edges, int64_t cores, int64_t chips,
                            int64_t slices, int64_t lines, int64_t rows, float g_max, float off_limit, float n_reads,
                            int64_t n_bins, const int64_t *chip, const int64_t *line, const int64_t *row,
                            const float *delta, const float *goals, int64_t first, int64_t end, double *sums, float *error,
                            int64_t *over, int64_t *reads, int64_t *bins, int64_t *in_row) {
    const int32_t last = static_cast<int32_t>(points);
    const Write w = {g, nu, epoch, moment, growth, moments,
                     {{q, q_scale, static_cast<int32_t>(q_n)}, since_start},
                     {fits, fit_scale, last}, {fits + points + 1, fit_scale, last}, {fits + 2 * (points + 1), fit_scale, last},
                     quiet_off, keys, draws, unit, edges, cores, slices, lines, rows, g_max, off_limit, n_reads,
                     n_bins, static_cast<float>(n_bins) / g_max};
    const auto run = noise == 0 ? write_list<NONE> : noise == 1 ? write_list<PLAIN> : write_list<CUT>;
    run(w, chip, line, row, delta, goals, first, end, sums, error, over, reads, bins, in_row, chips);
}
