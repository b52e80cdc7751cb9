#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// Distance kernels over raw vectors and over codes of them, one set for each instruction set, and the few atomics that
// Swift needs on raw memory.
//
// A smaller distance is nearer, so the dot kernels give the negated dot product. Raw vectors may have any length and any
// alignment of their components. Within a set, a pair kernel and a rows kernel give bit-identical distances.

// Rows of a column come in blocks of 256; `table[slot >> 8] + (slot & 255) * stride` is the address of a row.
#define SHOAL_ROWS_PER_BLOCK_SHIFT 8
#define SHOAL_ROWS_PER_BLOCK 256u
#define SHOAL_ROWS_PER_BLOCK_MASK 255u

// The distance of two vectors of `dimension` floats.
typedef float (*shoal_pair_kernel)(const float *_Nonnull a, const float *_Nonnull b, size_t dimension);

// The distances of `query` to `count` rows, written to `distances[0 ..< count]`. `stride` is in bytes. Every block that
// `slots` touches must be in the table; the table's pointers may be replaced meanwhile by copies of the same rows.
//
// What `query` points at depends on the rows: `dimension` floats for raw vectors of any type, a `shoal_code_query` for
// 8-bit codes, a `shoal_bit_query` for 1-bit codes.
typedef void (*shoal_rows_kernel)(
    const void *_Nonnull query, size_t dimension, const void *_Nullable const *_Nonnull table, size_t stride,
    const uint32_t *_Nonnull slots, size_t count, float *_Nonnull distances);

// Rows kernels for raw vectors of one type.
typedef struct shoal_raw_kernels {
    // `cosine` also divides by the row's length; its query has unit length already.
    shoal_rows_kernel _Nonnull dot, squared_l2, l1, cosine;
} shoal_raw_kernels;

// The kernels of one instruction set.
typedef struct shoal_kernels {
    const char *_Nonnull name;
    shoal_pair_kernel _Nonnull dot, squared_l2, l1;
    shoal_raw_kernels float32, float16, uint8;
    shoal_rows_kernel _Nonnull code_dot, code_squared_l2, bit_dot, bit_squared_l2;
} shoal_kernels;

// The fastest set that this CPU supports.
const shoal_kernels *_Nonnull shoal_kernels_best(void);

// All sets that this CPU supports, scalar first: number `index`, or NULL past the last.
const shoal_kernels *_Nullable shoal_kernels_supported(size_t index);

// 8-bit codes. A row is `stride` bytes, a multiple of 32 and at least `dimension`: codes of -127 ... 127, zeros behind
// them. Behind the 256 rows of a block stand the rows' `shoal_code_correction`s. component i is about scale * code[i].
typedef struct shoal_code_correction {
    float scale;
    float squared_length; // of the vector itself, not of its code
} shoal_code_correction;

typedef struct shoal_code_query {
    const int8_t *_Nonnull codes; // `stride` bytes
    shoal_code_correction correction;
} shoal_code_query;

// Writes the codes of a vector, `stride` bytes, and returns their correction. A component that is not finite counts as 0.
shoal_code_correction shoal_encode_codes(
    const float *_Nonnull vector, size_t dimension, int8_t *_Nonnull codes, size_t stride);

// 1-bit codes (RaBitQ). A row is `stride` bytes, a multiple of 8: the signs of the components of a rotated residual.
// Behind the 256 rows of a block stand the rows' `shoal_bit_correction`s.
typedef struct shoal_bit_correction {
    float factor; // what a sum of signed query components is multiplied by to estimate the inner product of residuals
    float bias;   // dot: the row's inner product with the centre; squared L2: the squared length of the residual
} shoal_bit_correction;

#define SHOAL_BIT_PLANES 8

typedef struct shoal_bit_query {
    // [SHOAL_BIT_PLANES][stride / 8]: the bits of the rotated query's components, quantised to 8 bits; bit 0 first.
    const uint64_t *_Nonnull planes;
    float lowest, step; // component i is about lowest + step * quantised[i]
    float sum;          // of the components
    float bias;         // dot: the inner product of query and centre, less the centre's with itself; squared L2: the squared
                        // length of the residual
} shoal_bit_query;

// Rotates `vector`, `padded` floats (a multiple of 64), in place by a random orthogonal matrix that `signs` defines:
// SHOAL_ROTATION_ROUNDS * padded / 64 words of random bits. O(padded * log(padded)).
#define SHOAL_ROTATION_ROUNDS 4
void shoal_rotate(float *_Nonnull vector, size_t padded, const uint64_t *_Nonnull signs);

// Writes the signs of `padded` components, padded / 8 bytes, and returns the sum of their absolute values.
float shoal_encode_bits(const float *_Nonnull rotated, size_t padded, uint64_t *_Nonnull bits);

// Quantises a rotated query into `planes` and the fields of `query` that belong to them.
void shoal_prepare_bit_query(
    const float *_Nonnull rotated, size_t padded, uint64_t *_Nonnull planes, shoal_bit_query *_Nonnull query);

// Converts between float32 and what rows hold; float16 rounds to nearest even, uint8 rounds and clamps to 0 ... 255.
void shoal_to_float16(const float *_Nonnull from, uint16_t *_Nonnull to, size_t count);
void shoal_from_float16(const uint16_t *_Nonnull from, float *_Nonnull to, size_t count);
void shoal_to_uint8(const float *_Nonnull from, uint8_t *_Nonnull to, size_t count);
void shoal_from_uint8(const uint8_t *_Nonnull from, float *_Nonnull to, size_t count);

// Scales `vector` to unit length; returns 0 and leaves it as it is when its length is zero or not finite, else 1.
int shoal_normalise(float *_Nonnull vector, size_t dimension);

// Relaxed: a link word is valid by itself, whatever its neighbours in memory say.
static inline uint32_t shoal_load_relaxed_u32(const void *_Nonnull address) {
    return __atomic_load_n((const uint32_t *)address, __ATOMIC_RELAXED);
}

static inline void shoal_store_relaxed_u32(void *_Nonnull address, uint32_t value) {
    __atomic_store_n((uint32_t *)address, value, __ATOMIC_RELAXED);
}

// Release: whoever follows the link finds the record that it leads to complete.
static inline void shoal_store_release_u32(void *_Nonnull address, uint32_t value) {
    __atomic_store_n((uint32_t *)address, value, __ATOMIC_RELEASE);
}

static inline uint64_t shoal_load_acquire_u64(const void *_Nonnull address) {
    return __atomic_load_n((const uint64_t *)address, __ATOMIC_ACQUIRE);
}

static inline void shoal_store_release_u64(void *_Nonnull address, uint64_t value) {
    __atomic_store_n((uint64_t *)address, value, __ATOMIC_RELEASE);
}

static inline uint8_t shoal_load_acquire_u8(const void *_Nonnull address) {
    return __atomic_load_n((const uint8_t *)address, __ATOMIC_ACQUIRE);
}

static inline void shoal_store_release_u8(void *_Nonnull address, uint8_t value) {
    __atomic_store_n((uint8_t *)address, value, __ATOMIC_RELEASE);
}

static inline const void *_Nullable shoal_load_acquire_pointer(const void *_Nonnull address) {
    return __atomic_load_n((const void *const *)address, __ATOMIC_ACQUIRE);
}

static inline void shoal_store_release_pointer(void *_Nonnull address, const void *_Nullable value) {
    __atomic_store_n((const void **)address, value, __ATOMIC_RELEASE);
}

// Asks for the cache line of `address`; any address is allowed.
static inline void shoal_prefetch(const void *_Nullable address) { __builtin_prefetch(address, 0, 3); }

#endif
