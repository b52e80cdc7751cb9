#include "kernels.h"

// Plain C: the reference that the others are tested against, and the fallback.

SHOAL_INLINE float pair(shoal_metric metric, const float *a, const float *b, size_t dimension) {
    // Four sums, so that additions do not wait for each other and rounding errors stay small.
    float sums[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < dimension; i++) {
        float difference = a[i] - b[i];
        switch (metric) {
        case METRIC_DOT: sums[i & 3] += a[i] * b[i]; break;
        case METRIC_SQUARED_L2: sums[i & 3] += difference * difference; break;
        case METRIC_L1: sums[i & 3] += difference < 0 ? -difference : difference; break;
        }
    }
    float sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return metric == METRIC_DOT ? -sum : sum;
}

SHOAL_INLINE void rows(
    shoal_metric metric, const float *query, size_t dimension, const void *const *table, size_t stride,
    const uint32_t *slots, size_t count, float *distances) {
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count) __builtin_prefetch(shoal_row(table, stride, slots[i + 1]));
        distances[i] = pair(metric, query, shoal_row(table, stride, slots[i]), dimension);
    }
}

SHOAL_DEFINE_KERNELS(scalar, )
