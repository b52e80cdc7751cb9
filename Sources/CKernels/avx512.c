#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx2,fma,f16c,popcnt")))

TARGET SHOAL_INLINE __m512 accumulate(shoal_metric metric, __m512 sum, __m512 a, __m512 b) {
    switch (metric) {
    case METRIC_DOT:
    case METRIC_COSINE: return _mm512_fmadd_ps(a, b, sum);
    case METRIC_SQUARED_L2: {
        __m512 difference = _mm512_sub_ps(a, b);
        return _mm512_fmadd_ps(difference, difference, sum);
    }
    case METRIC_L1: return _mm512_add_ps(sum, _mm512_abs_ps(_mm512_sub_ps(a, b)));
    }
}

// Sixteen components of a row from number `i` on.
TARGET SHOAL_INLINE __m512 load(shoal_type type, const char *row, size_t i) {
    switch (type) {
    case TYPE_FLOAT32: return _mm512_loadu_ps((const float *)(row + 4 * i));
    case TYPE_FLOAT16: return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(row + 2 * i)));
    case TYPE_UINT8: return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(row + i))));
    }
}

// The mask of the first `lanes` of sixteen lanes.
SHOAL_INLINE __mmask16 first_lanes(size_t lanes) { return (__mmask16)((1u << lanes) - 1); }

// As `load`, but only the first `lanes` (fewer than sixteen); the others are zero.
TARGET SHOAL_INLINE __m512 load_first(shoal_type type, const char *row, size_t i, size_t lanes) {
    if (type == TYPE_FLOAT32) return _mm512_maskz_loadu_ps(first_lanes(lanes), (const float *)(row + 4 * i));
    char copy[32] = {0};
    __builtin_memcpy(copy, row + shoal_type_bytes(type) * i, shoal_type_bytes(type) * lanes);
    return load(type, copy, 0);
}

TARGET SHOAL_INLINE float finished(shoal_metric metric, __m512 even, __m512 odd, __m512 squares) {
    float total = _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
    return shoal_finish(metric, total, metric == METRIC_COSINE ? _mm512_reduce_add_ps(squares) : 0);
}

TARGET SHOAL_INLINE float pair(shoal_metric metric, shoal_type type, const float *a, const char *b, size_t dimension) {
    __m512 even = _mm512_setzero_ps(), odd = even, squares = even;
    size_t i = 0;
    for (; i + 32 <= dimension; i += 32) {
        __m512 low = load(type, b, i), high = load(type, b, i + 16);
        even = accumulate(metric, even, _mm512_loadu_ps(a + i), low);
        odd = accumulate(metric, odd, _mm512_loadu_ps(a + i + 16), high);
        if (metric == METRIC_COSINE) {
            squares = _mm512_fmadd_ps(low, low, squares);
            squares = _mm512_fmadd_ps(high, high, squares);
        }
    }
    if (i + 16 <= dimension) {
        __m512 low = load(type, b, i);
        even = accumulate(metric, even, _mm512_loadu_ps(a + i), low);
        if (metric == METRIC_COSINE) squares = _mm512_fmadd_ps(low, low, squares);
        i += 16;
    }
    if (i < dimension) {
        __m512 rest = load_first(type, b, i, dimension - i);
        odd = accumulate(metric, odd, _mm512_maskz_loadu_ps(first_lanes(dimension - i), a + i), rest);
        if (metric == METRIC_COSINE) squares = _mm512_fmadd_ps(rest, rest, squares);
    }
    return finished(metric, even, odd, squares);
}

// The distances of `query` to four rows, while the cache lines of the four `next` rows are asked for.
TARGET SHOAL_INLINE void four(
    shoal_metric metric, shoal_type type, const float *query, size_t dimension, const char *const row[4],
    const char *const next[4], float *distances) {
    __m512 even[4], odd[4], squares[4];
    for (int r = 0; r < 4; r++) even[r] = odd[r] = squares[r] = _mm512_setzero_ps();
    size_t bytes = shoal_type_bytes(type), i = 0;
    for (; i + 32 <= dimension; i += 32) {
        __m512 a = _mm512_loadu_ps(query + i), b = _mm512_loadu_ps(query + i + 16);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            _mm_prefetch(next[r] + bytes * i, _MM_HINT_T0);
            _mm_prefetch(next[r] + bytes * (i + 16), _MM_HINT_T0);
            __m512 low = load(type, row[r], i), high = load(type, row[r], i + 16);
            even[r] = accumulate(metric, even[r], a, low);
            odd[r] = accumulate(metric, odd[r], b, high);
            if (metric == METRIC_COSINE) {
                squares[r] = _mm512_fmadd_ps(low, low, squares[r]);
                squares[r] = _mm512_fmadd_ps(high, high, squares[r]);
            }
        }
    }
    if (i + 16 <= dimension) {
        __m512 a = _mm512_loadu_ps(query + i);
        for (int r = 0; r < 4; r++) {
            __m512 low = load(type, row[r], i);
            even[r] = accumulate(metric, even[r], a, low);
            if (metric == METRIC_COSINE) squares[r] = _mm512_fmadd_ps(low, low, squares[r]);
        }
        i += 16;
    }
    if (i < dimension) {
        __m512 a = _mm512_maskz_loadu_ps(first_lanes(dimension - i), query + i);
        for (int r = 0; r < 4; r++) {
            __m512 rest = load_first(type, row[r], i, dimension - i);
            odd[r] = accumulate(metric, odd[r], a, rest);
            if (metric == METRIC_COSINE) squares[r] = _mm512_fmadd_ps(rest, rest, squares[r]);
        }
    }
    for (int r = 0; r < 4; r++) distances[r] = finished(metric, even[r], odd[r], squares[r]);
}

#include "rows.h"

SHOAL_DEFINE_RAW_KERNELS(avx512, TARGET)

// Codes as AVX2 does them, for CPUs without VNNI.
SHOAL_DECLARE_CODE_KERNELS(avx2)
SHOAL_DEFINE_SET(avx512, avx512, avx2)

#undef TARGET
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vpopcntdq,avx2,popcnt")))

// As in avx2.c, but one instruction multiplies, adds up, and accumulates.
TARGET SHOAL_INLINE void code_four(
    const int8_t *query, size_t bytes, const int8_t *const row[4], const int8_t *const next[4], int32_t products[4]) {
    __m256i sum[4];
    for (int r = 0; r < 4; r++) sum[r] = _mm256_setzero_si256();
    for (size_t i = 0; i < bytes; i += 32) {
        __m256i q = _mm256_loadu_si256((const __m256i *)(query + i)), magnitude = _mm256_abs_epi8(q);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            if ((i & 32) == 0) _mm_prefetch((const char *)(next[r] + i), _MM_HINT_T0);
            __m256i x = _mm256_sign_epi8(_mm256_loadu_si256((const __m256i *)(row[r] + i)), q);
            sum[r] = _mm256_dpbusd_epi32(sum[r], magnitude, x);
        }
    }
    __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
    _mm_storeu_si128(
        (__m128i *)products, _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1)));
}

#include "bits.h"
#include "codes.h"

SHOAL_DEFINE_CODE_KERNELS(avx512vnni, TARGET)
SHOAL_DEFINE_SET(avx512vnni, avx512, avx512vnni)
#endif
