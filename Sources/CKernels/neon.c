#include "kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET

SHOAL_INLINE float32x4_t accumulate(shoal_metric metric, float32x4_t sum, float32x4_t a, float32x4_t b) {
    switch (metric) {
    case METRIC_DOT: return vfmaq_f32(sum, a, b);
    case METRIC_SQUARED_L2: {
        float32x4_t difference = vsubq_f32(a, b);
        return vfmaq_f32(sum, difference, difference);
    }
    case METRIC_L1: return vaddq_f32(sum, vabdq_f32(a, b));
    }
}

// The first `lanes` (1 to 3) floats at `address`, zeros behind them.
SHOAL_INLINE float32x4_t load_first(const float *address, size_t lanes) {
    float values[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < lanes; i++) values[i] = address[i];
    return vld1q_f32(values);
}

SHOAL_INLINE float finished(shoal_metric metric, float32x4_t even, float32x4_t odd) {
    float total = vaddvq_f32(vaddq_f32(even, odd));
    return metric == METRIC_DOT ? -total : total;
}

SHOAL_INLINE float pair(shoal_metric metric, const float *a, const float *b, size_t dimension) {
    float32x4_t even = vdupq_n_f32(0), odd = vdupq_n_f32(0);
    size_t i = 0;
    for (; i + 8 <= dimension; i += 8) {
        even = accumulate(metric, even, vld1q_f32(a + i), vld1q_f32(b + i));
        odd = accumulate(metric, odd, vld1q_f32(a + i + 4), vld1q_f32(b + i + 4));
    }
    if (i + 4 <= dimension) {
        even = accumulate(metric, even, vld1q_f32(a + i), vld1q_f32(b + i));
        i += 4;
    }
    if (i < dimension) {
        odd = accumulate(metric, odd, load_first(a + i, dimension - i), load_first(b + i, dimension - i));
    }
    return finished(metric, even, odd);
}

// The distances of `query` to four rows, while the cache lines of the four `next` rows are asked for.
SHOAL_INLINE void four(
    shoal_metric metric, const float *query, size_t dimension, const float *const row[4], const float *const next[4],
    float *distances) {
    float32x4_t even[4], odd[4];
    for (int r = 0; r < 4; r++) even[r] = odd[r] = vdupq_n_f32(0);
    size_t i = 0;
    for (; i + 8 <= dimension; i += 8) {
        float32x4_t low = vld1q_f32(query + i), high = vld1q_f32(query + i + 4);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            __builtin_prefetch(next[r] + i);
            even[r] = accumulate(metric, even[r], low, vld1q_f32(row[r] + i));
            odd[r] = accumulate(metric, odd[r], high, vld1q_f32(row[r] + i + 4));
        }
    }
    if (i + 4 <= dimension) {
        float32x4_t low = vld1q_f32(query + i);
        for (int r = 0; r < 4; r++) even[r] = accumulate(metric, even[r], low, vld1q_f32(row[r] + i));
        i += 4;
    }
    if (i < dimension) {
        float32x4_t rest = load_first(query + i, dimension - i);
        for (int r = 0; r < 4; r++) {
            odd[r] = accumulate(metric, odd[r], rest, load_first(row[r] + i, dimension - i));
        }
    }
    for (int r = 0; r < 4; r++) distances[r] = finished(metric, even[r], odd[r]);
}

#include "rows.h"

SHOAL_DEFINE_KERNELS(neon, TARGET)
#endif
