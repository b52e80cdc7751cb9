#ifndef SHOAL_KERNELS_INTERNAL_H
#define SHOAL_KERNELS_INTERNAL_H

#include "CKernels.h"

// What the instruction sets' files share. Each writes its kernels once, as always-inlined functions of a constant
// metric and component type, from which the compiler makes one function for each combination.

#define SHOAL_INLINE static inline __attribute__((always_inline))

typedef enum { METRIC_DOT, METRIC_SQUARED_L2, METRIC_L1, METRIC_COSINE } shoal_metric;
typedef enum { TYPE_FLOAT32, TYPE_FLOAT16, TYPE_UINT8 } shoal_type;

SHOAL_INLINE size_t shoal_type_bytes(shoal_type type) {
    return type == TYPE_FLOAT32 ? 4 : type == TYPE_FLOAT16 ? 2 : 1;
}

SHOAL_INLINE const char *shoal_block(const void *const *table, uint32_t slot) {
    // Relaxed suffices: what the pointer leads to is ordered behind it by the data dependency.
    return (const char *)__atomic_load_n(&table[slot >> SHOAL_ROWS_PER_BLOCK_SHIFT], __ATOMIC_RELAXED);
}

SHOAL_INLINE const char *shoal_row(const void *const *table, size_t stride, uint32_t slot) {
    return shoal_block(table, slot) + (size_t)(slot & SHOAL_ROWS_PER_BLOCK_MASK) * stride;
}

// The 8 bytes of the row's correction, behind the rows of its block.
SHOAL_INLINE const void *shoal_correction(const void *const *table, size_t stride, uint32_t slot) {
    return shoal_block(table, slot) + SHOAL_ROWS_PER_BLOCK * stride + (size_t)(slot & SHOAL_ROWS_PER_BLOCK_MASK) * 8;
}

// What is left of a distance when the sums over the components are known.
SHOAL_INLINE float shoal_finish(shoal_metric metric, float sum, float squares) {
    switch (metric) {
    case METRIC_DOT: return -sum;
    case METRIC_COSINE: return squares > 0 ? -sum / __builtin_sqrtf(squares) : 0;
    case METRIC_SQUARED_L2:
    case METRIC_L1: return sum;
    }
}

SHOAL_INLINE float shoal_finish_code(
    shoal_metric metric, const shoal_code_query *query, const shoal_code_correction *row, int32_t product) {
    float inner = query->correction.scale * row->scale * (float)product;
    return metric == METRIC_DOT ? -inner : query->correction.squared_length + row->squared_length - 2 * inner;
}

SHOAL_INLINE float shoal_finish_bits(
    shoal_metric metric, const shoal_bit_query *query, const shoal_bit_correction *row, uint32_t product, uint32_t ones) {
    float positive = query->lowest * (float)ones + query->step * (float)product;
    float inner = row->factor * (2 * positive - query->sum);
    return metric == METRIC_DOT ? -(inner + row->bias + query->bias) : query->bias + row->bias - 2 * inner;
}

extern const shoal_kernels shoal_kernels_scalar;
#if defined(__x86_64__)
extern const shoal_kernels shoal_kernels_avx2;
extern const shoal_kernels shoal_kernels_avx512;
extern const shoal_kernels shoal_kernels_avx512vnni;
#elif defined(__aarch64__)
extern const shoal_kernels shoal_kernels_neon;
#endif

// Defines the functions of a set from always-inlined ones: `pair` and `rows`, whose first arguments are metric and type,
// and `code_rows` and `bit_rows`, whose first is the metric. `target` is the attribute that allows the instructions.
#define SHOAL_DEFINE_RAW_KERNELS(set, target)                                                                         \
    SHOAL_DEFINE_PAIR(set, target, dot, METRIC_DOT)                                                                   \
    SHOAL_DEFINE_PAIR(set, target, squared_l2, METRIC_SQUARED_L2)                                                     \
    SHOAL_DEFINE_PAIR(set, target, l1, METRIC_L1)                                                                     \
    SHOAL_DEFINE_TYPE(set, target, float32, TYPE_FLOAT32)                                                             \
    SHOAL_DEFINE_TYPE(set, target, float16, TYPE_FLOAT16)                                                             \
    SHOAL_DEFINE_TYPE(set, target, uint8, TYPE_UINT8)

#define SHOAL_DEFINE_CODE_KERNELS(set, target)                                                                        \
    SHOAL_DEFINE_CODE_ROWS(set, target, code_dot, code_rows, METRIC_DOT)                                              \
    SHOAL_DEFINE_CODE_ROWS(set, target, code_squared_l2, code_rows, METRIC_SQUARED_L2)                                \
    SHOAL_DEFINE_CODE_ROWS(set, target, bit_dot, bit_rows, METRIC_DOT)                                                \
    SHOAL_DEFINE_CODE_ROWS(set, target, bit_squared_l2, bit_rows, METRIC_SQUARED_L2)

#define SHOAL_DEFINE_TYPE(set, target, type, constant)                                                                \
    SHOAL_DEFINE_ROWS(set, target, type##_dot, METRIC_DOT, constant)                                                  \
    SHOAL_DEFINE_ROWS(set, target, type##_squared_l2, METRIC_SQUARED_L2, constant)                                    \
    SHOAL_DEFINE_ROWS(set, target, type##_l1, METRIC_L1, constant)                                                    \
    SHOAL_DEFINE_ROWS(set, target, type##_cosine, METRIC_COSINE, constant)

#define SHOAL_DEFINE_PAIR(set, target, name, metric)                                                                  \
    target static float set##_##name(const float *a, const float *b, size_t dimension) {                              \
        return pair(metric, TYPE_FLOAT32, a, (const char *)b, dimension);                                             \
    }

#define SHOAL_DEFINE_ROWS(set, target, name, metric, type)                                                            \
    target static void set##_##name(                                                                                  \
        const void *query, size_t dimension, const void *const *table, size_t stride, const uint32_t *slots,          \
        size_t count, float *distances) {                                                                             \
        rows(metric, type, query, dimension, table, stride, slots, count, distances);                                 \
    }

#define SHOAL_DEFINE_CODE_ROWS(set, target, name, function, metric)                                                   \
    target void shoal_##set##_##name(                                                                                  \
        const void *query, size_t dimension, const void *const *table, size_t stride, const uint32_t *slots,          \
        size_t count, float *distances) {                                                                             \
        function(metric, query, table, stride, slots, count, distances);                                              \
    }

// For a set that takes the code kernels of another.
#define SHOAL_DECLARE_CODE_KERNELS(set)                                                                               \
    SHOAL_DECLARE_CODE_ROWS(set, code_dot)                                                                            \
    SHOAL_DECLARE_CODE_ROWS(set, code_squared_l2)                                                                     \
    SHOAL_DECLARE_CODE_ROWS(set, bit_dot)                                                                             \
    SHOAL_DECLARE_CODE_ROWS(set, bit_squared_l2)

#define SHOAL_DECLARE_CODE_ROWS(set, name)                                                                            \
    void shoal_##set##_##name(                                                                                                \
        const void *query, size_t dimension, const void *const *table, size_t stride, const uint32_t *slots,          \
        size_t count, float *distances);

#define SHOAL_TYPE_TABLE(set, type) {set##_##type##_dot, set##_##type##_squared_l2, set##_##type##_l1, set##_##type##_cosine}

// The table of a set whose raw kernels are those of `raw` and whose code kernels are those of `code`.
#define SHOAL_DEFINE_SET(set, raw, code)                                                                              \
    const shoal_kernels shoal_kernels_##set = {                                                                       \
        #set, raw##_dot, raw##_squared_l2, raw##_l1, SHOAL_TYPE_TABLE(raw, float32), SHOAL_TYPE_TABLE(raw, float16),  \
        SHOAL_TYPE_TABLE(raw, uint8), shoal_##code##_code_dot, shoal_##code##_code_squared_l2, shoal_##code##_bit_dot,     \
        shoal_##code##_bit_squared_l2};

#endif
