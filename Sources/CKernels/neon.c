#include "kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET

SHOAL_INLINE float32x4_t accumulate(shoal_metric metric, float32x4_t sum, float32x4_t a, float32x4_t b) {
    switch (metric) {
    case METRIC_DOT:
    case METRIC_COSINE: return vfmaq_f32(sum, a, b);
    case METRIC_SQUARED_L2: {
        float32x4_t difference = vsubq_f32(a, b);
        return vfmaq_f32(sum, difference, difference);
    }
    case METRIC_L1: return vaddq_f32(sum, vabdq_f32(a, b));
    }
}

// Four components of a row from number `i` on.
SHOAL_INLINE float32x4_t load(shoal_type type, const char *row, size_t i) {
    switch (type) {
    case TYPE_FLOAT32: return vld1q_f32((const float *)(row + 4 * i));
    case TYPE_FLOAT16: return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)(row + 2 * i))));
    case TYPE_UINT8: {
        uint32_t bytes;
        __builtin_memcpy(&bytes, row + i, 4);
        return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes))))));
    }
    }
}

// As `load`, but only the first `lanes` (1 to 3); the others are zero.
SHOAL_INLINE float32x4_t load_first(shoal_type type, const char *row, size_t i, size_t lanes) {
    char copy[16] = {0};
    __builtin_memcpy(copy, row + shoal_type_bytes(type) * i, shoal_type_bytes(type) * lanes);
    return load(type, copy, 0);
}

SHOAL_INLINE float finished(shoal_metric metric, float32x4_t even, float32x4_t odd, float32x4_t squares) {
    return shoal_finish(metric, vaddvq_f32(vaddq_f32(even, odd)), metric == METRIC_COSINE ? vaddvq_f32(squares) : 0);
}

SHOAL_INLINE float pair(shoal_metric metric, shoal_type type, const float *a, const char *b, size_t dimension) {
    float32x4_t even = vdupq_n_f32(0), odd = even, squares = even;
    size_t i = 0;
    for (; i + 4 <= dimension; i += 4) {
        float32x4_t row = load(type, b, i);
        if (i & 4) {
            odd = accumulate(metric, odd, vld1q_f32(a + i), row);
        } else {
            even = accumulate(metric, even, vld1q_f32(a + i), row);
        }
        if (metric == METRIC_COSINE) squares = vfmaq_f32(squares, row, row);
    }
    if (i < dimension) {
        float32x4_t rest = load_first(type, b, i, dimension - i);
        odd = accumulate(metric, odd, load_first(TYPE_FLOAT32, (const char *)a, i, dimension - i), rest);
        if (metric == METRIC_COSINE) squares = vfmaq_f32(squares, rest, rest);
    }
    return finished(metric, even, odd, squares);
}

// The distances of `query` to four rows, while the cache lines of the four `next` rows are asked for.
SHOAL_INLINE void four(
    shoal_metric metric, shoal_type type, const float *query, size_t dimension, const char *const row[4],
    const char *const next[4], float *distances) {
    float32x4_t even[4], odd[4], squares[4];
    for (int r = 0; r < 4; r++) even[r] = odd[r] = squares[r] = vdupq_n_f32(0);
    size_t bytes = shoal_type_bytes(type), i = 0;
    for (; i + 4 <= dimension; i += 4) {
        float32x4_t a = vld1q_f32(query + i);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            __builtin_prefetch(next[r] + bytes * i);
            float32x4_t value = load(type, row[r], i);
            if (i & 4) {
                odd[r] = accumulate(metric, odd[r], a, value);
            } else {
                even[r] = accumulate(metric, even[r], a, value);
            }
            if (metric == METRIC_COSINE) squares[r] = vfmaq_f32(squares[r], value, value);
        }
    }
    if (i < dimension) {
        float32x4_t a = load_first(TYPE_FLOAT32, (const char *)query, i, dimension - i);
        for (int r = 0; r < 4; r++) {
            float32x4_t rest = load_first(type, row[r], i, dimension - i);
            odd[r] = accumulate(metric, odd[r], a, rest);
            if (metric == METRIC_COSINE) squares[r] = vfmaq_f32(squares[r], rest, rest);
        }
    }
    for (int r = 0; r < 4; r++) distances[r] = finished(metric, even[r], odd[r], squares[r]);
}

// The inner products of `query` and four rows, `bytes` codes each; asks for the `next` rows meanwhile.
SHOAL_INLINE void code_four(
    const int8_t *query, size_t bytes, const int8_t *const row[4], const int8_t *const next[4], int32_t products[4]) {
    int32x4_t sum[4];
    for (int r = 0; r < 4; r++) sum[r] = vdupq_n_s32(0);
    for (size_t i = 0; i < bytes; i += 16) {
        int8x16_t q = vld1q_s8(query + i);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            if ((i & 48) == 0) __builtin_prefetch(next[r] + i);
            int8x16_t x = vld1q_s8(row[r] + i);
            // Two products of at most 127 * 127 fit 16 bits.
            int16x8_t product = vmull_s8(vget_low_s8(q), vget_low_s8(x));
            product = vmlal_high_s8(product, q, x);
            sum[r] = vpadalq_s16(sum[r], product);
        }
    }
    for (int r = 0; r < 4; r++) products[r] = vaddvq_s32(sum[r]);
}

#include "bits.h"
#include "codes.h"
#include "rows.h"

SHOAL_DEFINE_RAW_KERNELS(neon, TARGET)
SHOAL_DEFINE_CODE_KERNELS(neon, TARGET)
SHOAL_DEFINE_SET(neon, neon, neon)
#endif
