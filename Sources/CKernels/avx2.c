#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))

TARGET SHOAL_INLINE __m256 accumulate(shoal_metric metric, __m256 sum, __m256 a, __m256 b) {
    switch (metric) {
    case METRIC_DOT: return _mm256_fmadd_ps(a, b, sum);
    case METRIC_SQUARED_L2: {
        __m256 difference = _mm256_sub_ps(a, b);
        return _mm256_fmadd_ps(difference, difference, sum);
    }
    case METRIC_L1: return _mm256_add_ps(sum, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(a, b)));
    }
}

// The mask of the first `lanes` of eight lanes.
TARGET SHOAL_INLINE __m256i first_lanes(size_t lanes) {
    static const int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(ones_then_zeros + 8 - lanes));
}

TARGET SHOAL_INLINE __m128 halves_added(__m256 sum) {
    return _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
}

TARGET SHOAL_INLINE float pair(shoal_metric metric, const float *a, const float *b, size_t dimension) {
    __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= dimension; i += 16) {
        even = accumulate(metric, even, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
        odd = accumulate(metric, odd, _mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8));
    }
    if (i + 8 <= dimension) {
        even = accumulate(metric, even, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
        i += 8;
    }
    if (i < dimension) {
        __m256i mask = first_lanes(dimension - i);
        odd = accumulate(metric, odd, _mm256_maskload_ps(a + i, mask), _mm256_maskload_ps(b + i, mask));
    }
    __m128 sum = halves_added(_mm256_add_ps(even, odd));
    sum = _mm_hadd_ps(sum, sum);
    sum = _mm_hadd_ps(sum, sum);
    float total = _mm_cvtss_f32(sum);
    return metric == METRIC_DOT ? -total : total;
}

// The distances of `query` to four rows. Each step also asks for the same cache line of the four `next` rows, so that
// their loads spread over the whole computation instead of queueing up at its end.
TARGET SHOAL_INLINE void four(
    shoal_metric metric, const float *query, size_t dimension, const float *const row[4], const float *const next[4],
    float *distances) {
    __m256 even[4], odd[4];
    for (int r = 0; r < 4; r++) even[r] = odd[r] = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= dimension; i += 16) {
        __m256 low = _mm256_loadu_ps(query + i), high = _mm256_loadu_ps(query + i + 8);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            _mm_prefetch((const char *)(next[r] + i), _MM_HINT_T0);
            even[r] = accumulate(metric, even[r], low, _mm256_loadu_ps(row[r] + i));
            odd[r] = accumulate(metric, odd[r], high, _mm256_loadu_ps(row[r] + i + 8));
        }
    }
    if (i + 8 <= dimension) {
        __m256 low = _mm256_loadu_ps(query + i);
        for (int r = 0; r < 4; r++) even[r] = accumulate(metric, even[r], low, _mm256_loadu_ps(row[r] + i));
        i += 8;
    }
    if (i < dimension) {
        __m256i mask = first_lanes(dimension - i);
        __m256 rest = _mm256_maskload_ps(query + i, mask);
        for (int r = 0; r < 4; r++) odd[r] = accumulate(metric, odd[r], rest, _mm256_maskload_ps(row[r] + i, mask));
    }
    __m128 sum[4];
    for (int r = 0; r < 4; r++) sum[r] = halves_added(_mm256_add_ps(even[r], odd[r]));
    __m128 total = _mm_hadd_ps(_mm_hadd_ps(sum[0], sum[1]), _mm_hadd_ps(sum[2], sum[3]));
    if (metric == METRIC_DOT) total = _mm_xor_ps(total, _mm_set1_ps(-0.0f));
    _mm_storeu_ps(distances, total);
}

#include "rows.h"

SHOAL_DEFINE_KERNELS(avx2, TARGET)
#endif
