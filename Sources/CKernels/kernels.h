#ifndef SHOAL_KERNELS_INTERNAL_H
#define SHOAL_KERNELS_INTERNAL_H

#include "CKernels.h"

// What the instruction sets' files share. Each writes its kernels once, as always-inlined functions of a constant
// metric, from which the compiler makes one function for each metric.

#define SHOAL_INLINE static inline __attribute__((always_inline))

typedef enum { METRIC_DOT, METRIC_SQUARED_L2, METRIC_L1 } shoal_metric;

SHOAL_INLINE const float *shoal_row(const void *const *table, size_t stride, uint32_t slot) {
    // Relaxed suffices: what the pointer leads to is ordered behind it by the data dependency.
    const void *block = __atomic_load_n(&table[slot >> SHOAL_ROWS_PER_BLOCK_SHIFT], __ATOMIC_RELAXED);
    return (const float *)((const char *)block + (size_t)(slot & SHOAL_ROWS_PER_BLOCK_MASK) * stride);
}

extern const shoal_kernels shoal_kernels_scalar;
#if defined(__x86_64__)
extern const shoal_kernels shoal_kernels_avx2;
extern const shoal_kernels shoal_kernels_avx512;
#elif defined(__aarch64__)
extern const shoal_kernels shoal_kernels_neon;
#endif

// Defines the six functions of a set and its table from `pair` and `rows`, two always-inlined functions whose first
// argument is the metric; `target` is the attribute that allows the instructions.
#define SHOAL_DEFINE_KERNELS(set, target)                                                                             \
    SHOAL_DEFINE_METRIC(set, target, dot, METRIC_DOT)                                                                 \
    SHOAL_DEFINE_METRIC(set, target, squared_l2, METRIC_SQUARED_L2)                                                   \
    SHOAL_DEFINE_METRIC(set, target, l1, METRIC_L1)                                                                   \
    const shoal_kernels shoal_kernels_##set = {                                                                       \
        #set, set##_dot, set##_squared_l2, set##_l1, set##_dot_rows, set##_squared_l2_rows, set##_l1_rows};

#define SHOAL_DEFINE_METRIC(set, target, name, metric)                                                                \
    target static float set##_##name(const float *a, const float *b, size_t dimension) {                              \
        return pair(metric, a, b, dimension);                                                                         \
    }                                                                                                                 \
    target static void set##_##name##_rows(                                                                           \
        const float *query, size_t dimension, const void *const *table, size_t stride, const uint32_t *slots,         \
        size_t count, float *distances) {                                                                             \
        rows(metric, query, dimension, table, stride, slots, count, distances);                                       \
    }

#endif
