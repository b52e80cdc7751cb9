#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f")))

TARGET SHOAL_INLINE __m512 accumulate(shoal_metric metric, __m512 sum, __m512 a, __m512 b) {
    switch (metric) {
    case METRIC_DOT: return _mm512_fmadd_ps(a, b, sum);
    case METRIC_SQUARED_L2: {
        __m512 difference = _mm512_sub_ps(a, b);
        return _mm512_fmadd_ps(difference, difference, sum);
    }
    case METRIC_L1: return _mm512_add_ps(sum, _mm512_abs_ps(_mm512_sub_ps(a, b)));
    }
}

// The mask of the lanes of the vector at `i` that are inside the dimension.
SHOAL_INLINE __mmask16 lanes_from(size_t i, size_t dimension) { return (__mmask16)((1u << (dimension - i)) - 1); }

TARGET SHOAL_INLINE float finished(shoal_metric metric, __m512 even, __m512 odd) {
    float total = _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
    return metric == METRIC_DOT ? -total : total;
}

TARGET SHOAL_INLINE float pair(shoal_metric metric, const float *a, const float *b, size_t dimension) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 32 <= dimension; i += 32) {
        even = accumulate(metric, even, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
        odd = accumulate(metric, odd, _mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16));
    }
    if (i + 16 <= dimension) {
        even = accumulate(metric, even, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
        i += 16;
    }
    if (i < dimension) {
        __mmask16 mask = lanes_from(i, dimension);
        odd = accumulate(metric, odd, _mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i));
    }
    return finished(metric, even, odd);
}

// The distances of `query` to four rows, while the cache lines of the four `next` rows are asked for.
TARGET SHOAL_INLINE void four(
    shoal_metric metric, const float *query, size_t dimension, const float *const row[4], const float *const next[4],
    float *distances) {
    __m512 even[4], odd[4];
    for (int r = 0; r < 4; r++) even[r] = odd[r] = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 32 <= dimension; i += 32) {
        __m512 low = _mm512_loadu_ps(query + i), high = _mm512_loadu_ps(query + i + 16);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            _mm_prefetch((const char *)(next[r] + i), _MM_HINT_T0);
            _mm_prefetch((const char *)(next[r] + i + 16), _MM_HINT_T0);
            even[r] = accumulate(metric, even[r], low, _mm512_loadu_ps(row[r] + i));
            odd[r] = accumulate(metric, odd[r], high, _mm512_loadu_ps(row[r] + i + 16));
        }
    }
    if (i + 16 <= dimension) {
        __m512 low = _mm512_loadu_ps(query + i);
        for (int r = 0; r < 4; r++) even[r] = accumulate(metric, even[r], low, _mm512_loadu_ps(row[r] + i));
        i += 16;
    }
    if (i < dimension) {
        __mmask16 mask = lanes_from(i, dimension);
        __m512 rest = _mm512_maskz_loadu_ps(mask, query + i);
        for (int r = 0; r < 4; r++) {
            odd[r] = accumulate(metric, odd[r], rest, _mm512_maskz_loadu_ps(mask, row[r] + i));
        }
    }
    for (int r = 0; r < 4; r++) distances[r] = finished(metric, even[r], odd[r]);
}

#include "rows.h"

SHOAL_DEFINE_KERNELS(avx512, TARGET)
#endif
