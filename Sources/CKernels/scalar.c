#include "float16.h"
#include "kernels.h"

// Plain C: the reference that the others are tested against, and the fallback.

SHOAL_INLINE float component(shoal_type type, const char *row, size_t i) {
    switch (type) {
    case TYPE_FLOAT32: {
        float value;
        __builtin_memcpy(&value, row + 4 * i, 4);
        return value;
    }
    case TYPE_FLOAT16: {
        uint16_t bits;
        __builtin_memcpy(&bits, row + 2 * i, 2);
        return shoal_float_of_half(bits);
    }
    case TYPE_UINT8: return (float)(uint8_t)row[i];
    }
}

SHOAL_INLINE float pair(shoal_metric metric, shoal_type type, const float *a, const char *b, size_t dimension) {
    // Four sums, so that additions do not wait for each other and rounding errors stay small.
    float sums[4] = {0, 0, 0, 0}, squares[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < dimension; i++) {
        float value = component(type, b, i), difference = a[i] - value;
        switch (metric) {
        case METRIC_COSINE: squares[i & 3] += value * value; sums[i & 3] += a[i] * value; break;
        case METRIC_DOT: sums[i & 3] += a[i] * value; break;
        case METRIC_SQUARED_L2: sums[i & 3] += difference * difference; break;
        case METRIC_L1: sums[i & 3] += difference < 0 ? -difference : difference; break;
        }
    }
    return shoal_finish(
        metric, (sums[0] + sums[1]) + (sums[2] + sums[3]), (squares[0] + squares[1]) + (squares[2] + squares[3]));
}

SHOAL_INLINE void rows(
    shoal_metric metric, shoal_type type, const float *query, size_t dimension, const void *const *table,
    size_t stride, const uint32_t *slots, size_t count, float *distances) {
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count) __builtin_prefetch(shoal_row(table, stride, slots[i + 1]));
        distances[i] = pair(metric, type, query, shoal_row(table, stride, slots[i]), dimension);
    }
}

SHOAL_INLINE void code_rows(
    shoal_metric metric, const shoal_code_query *query, const void *const *table, size_t stride,
    const uint32_t *slots, size_t count, float *distances) {
    for (size_t i = 0; i < count; i++) {
        const int8_t *row = (const int8_t *)shoal_row(table, stride, slots[i]);
        int32_t product = 0;
        for (size_t byte = 0; byte < stride; byte++) product += (int32_t)query->codes[byte] * row[byte];
        distances[i] = shoal_finish_code(metric, query, shoal_correction(table, stride, slots[i]), product);
    }
}

#define TARGET
#include "bits.h"

SHOAL_DEFINE_RAW_KERNELS(scalar, )
SHOAL_DEFINE_CODE_KERNELS(scalar, )
SHOAL_DEFINE_SET(scalar, scalar, scalar)
