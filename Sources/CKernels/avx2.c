#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c,popcnt")))

TARGET SHOAL_INLINE __m256 accumulate(shoal_metric metric, __m256 sum, __m256 a, __m256 b) {
    switch (metric) {
    case METRIC_DOT:
    case METRIC_COSINE: return _mm256_fmadd_ps(a, b, sum);
    case METRIC_SQUARED_L2: {
        __m256 difference = _mm256_sub_ps(a, b);
        return _mm256_fmadd_ps(difference, difference, sum);
    }
    case METRIC_L1: return _mm256_add_ps(sum, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(a, b)));
    }
}

// Eight components of a row from number `i` on.
TARGET SHOAL_INLINE __m256 load(shoal_type type, const char *row, size_t i) {
    switch (type) {
    case TYPE_FLOAT32: return _mm256_loadu_ps((const float *)(row + 4 * i));
    case TYPE_FLOAT16: return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(row + 2 * i)));
    case TYPE_UINT8: return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(row + i))));
    }
}

// The mask of the first `lanes` of eight lanes.
TARGET SHOAL_INLINE __m256i first_lanes(size_t lanes) {
    static const int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(ones_then_zeros + 8 - lanes));
}

// As `load`, but only the first `lanes` (fewer than eight); the others are zero.
TARGET SHOAL_INLINE __m256 load_first(shoal_type type, const char *row, size_t i, size_t lanes) {
    if (type == TYPE_FLOAT32) return _mm256_maskload_ps((const float *)(row + 4 * i), first_lanes(lanes));
    char copy[16] = {0};
    __builtin_memcpy(copy, row + shoal_type_bytes(type) * i, shoal_type_bytes(type) * lanes);
    return load(type, copy, 0);
}

TARGET SHOAL_INLINE __m128 halves_added(__m256 sum) {
    return _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
}

TARGET SHOAL_INLINE float added(__m256 sum) {
    __m128 half = halves_added(sum);
    half = _mm_hadd_ps(half, half);
    return _mm_cvtss_f32(_mm_hadd_ps(half, half));
}

// The four totals of four sums, each added up in the order of `added`.
TARGET SHOAL_INLINE __m128 four_added(const __m256 sum[4]) {
    return _mm_hadd_ps(
        _mm_hadd_ps(halves_added(sum[0]), halves_added(sum[1])), _mm_hadd_ps(halves_added(sum[2]), halves_added(sum[3])));
}

TARGET SHOAL_INLINE float pair(shoal_metric metric, shoal_type type, const float *a, const char *b, size_t dimension) {
    __m256 even = _mm256_setzero_ps(), odd = even, squares = even;
    size_t i = 0;
    for (; i + 16 <= dimension; i += 16) {
        __m256 low = load(type, b, i), high = load(type, b, i + 8);
        even = accumulate(metric, even, _mm256_loadu_ps(a + i), low);
        odd = accumulate(metric, odd, _mm256_loadu_ps(a + i + 8), high);
        if (metric == METRIC_COSINE) {
            squares = _mm256_fmadd_ps(low, low, squares);
            squares = _mm256_fmadd_ps(high, high, squares);
        }
    }
    if (i + 8 <= dimension) {
        __m256 low = load(type, b, i);
        even = accumulate(metric, even, _mm256_loadu_ps(a + i), low);
        if (metric == METRIC_COSINE) squares = _mm256_fmadd_ps(low, low, squares);
        i += 8;
    }
    if (i < dimension) {
        __m256 rest = load_first(type, b, i, dimension - i);
        odd = accumulate(metric, odd, _mm256_maskload_ps(a + i, first_lanes(dimension - i)), rest);
        if (metric == METRIC_COSINE) squares = _mm256_fmadd_ps(rest, rest, squares);
    }
    return shoal_finish(metric, added(_mm256_add_ps(even, odd)), metric == METRIC_COSINE ? added(squares) : 0);
}

// The distances of `query` to four rows. Each step also asks for the same cache line of the four `next` rows, so that
// their loads spread over the whole computation instead of queueing up at its end.
TARGET SHOAL_INLINE void four(
    shoal_metric metric, shoal_type type, const float *query, size_t dimension, const char *const row[4],
    const char *const next[4], float *distances) {
    __m256 even[4], odd[4], squares[4];
    for (int r = 0; r < 4; r++) even[r] = odd[r] = squares[r] = _mm256_setzero_ps();
    size_t bytes = shoal_type_bytes(type), i = 0;
    for (; i + 16 <= dimension; i += 16) {
        __m256 a = _mm256_loadu_ps(query + i), b = _mm256_loadu_ps(query + i + 8);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            _mm_prefetch(next[r] + bytes * i, _MM_HINT_T0);
            __m256 low = load(type, row[r], i), high = load(type, row[r], i + 8);
            even[r] = accumulate(metric, even[r], a, low);
            odd[r] = accumulate(metric, odd[r], b, high);
            if (metric == METRIC_COSINE) {
                squares[r] = _mm256_fmadd_ps(low, low, squares[r]);
                squares[r] = _mm256_fmadd_ps(high, high, squares[r]);
            }
        }
    }
    if (i + 8 <= dimension) {
        __m256 a = _mm256_loadu_ps(query + i);
        for (int r = 0; r < 4; r++) {
            __m256 low = load(type, row[r], i);
            even[r] = accumulate(metric, even[r], a, low);
            if (metric == METRIC_COSINE) squares[r] = _mm256_fmadd_ps(low, low, squares[r]);
        }
        i += 8;
    }
    if (i < dimension) {
        __m256 a = _mm256_maskload_ps(query + i, first_lanes(dimension - i));
        for (int r = 0; r < 4; r++) {
            __m256 rest = load_first(type, row[r], i, dimension - i);
            odd[r] = accumulate(metric, odd[r], a, rest);
            if (metric == METRIC_COSINE) squares[r] = _mm256_fmadd_ps(rest, rest, squares[r]);
        }
    }
    for (int r = 0; r < 4; r++) even[r] = _mm256_add_ps(even[r], odd[r]);
    __m128 total = four_added(even);
    if (metric == METRIC_DOT) total = _mm_xor_ps(total, _mm_set1_ps(-0.0f));
    _mm_storeu_ps(distances, total);
    if (metric == METRIC_COSINE) {
        for (int r = 0; r < 4; r++) distances[r] = shoal_finish(metric, distances[r], added(squares[r]));
    }
}

// The inner products of `query` and four rows, `bytes` codes each; asks for the `next` rows meanwhile.
//
// The multiplication takes unsigned by signed bytes: |q| * (sign of q * x), whose pairs cannot overflow 16 bits, since
// codes are at most 127.
TARGET SHOAL_INLINE void code_four(
    const int8_t *query, size_t bytes, const int8_t *const row[4], const int8_t *const next[4], int32_t products[4]) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[4];
    for (int r = 0; r < 4; r++) sum[r] = _mm256_setzero_si256();
    for (size_t i = 0; i < bytes; i += 32) {
        __m256i q = _mm256_loadu_si256((const __m256i *)(query + i)), magnitude = _mm256_abs_epi8(q);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            if ((i & 32) == 0) _mm_prefetch((const char *)(next[r] + i), _MM_HINT_T0);
            __m256i x = _mm256_sign_epi8(_mm256_loadu_si256((const __m256i *)(row[r] + i)), q);
            sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, x), ones));
        }
    }
    __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
    _mm_storeu_si128(
        (__m128i *)products, _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1)));
}

#include "bits.h"
#include "codes.h"
#include "rows.h"

SHOAL_DEFINE_RAW_KERNELS(avx2, TARGET)
SHOAL_DEFINE_CODE_KERNELS(avx2, TARGET)
SHOAL_DEFINE_SET(avx2, avx2, avx2)
#endif
