#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// Distance kernels over float32, one set for each instruction set, and the few atomics that Swift needs on raw memory.
//
// A smaller distance is nearer, so the dot kernels give the negated dot product. Vectors may have any length and any
// 4-byte alignment. Within a set, a pair kernel and a rows kernel give bit-identical distances.

// Rows of a column come in blocks of 256; `table[slot >> 8] + (slot & 255) * stride` is the address of a row.
#define SHOAL_ROWS_PER_BLOCK_SHIFT 8
#define SHOAL_ROWS_PER_BLOCK_MASK 255u

// The distance of two vectors of `dimension` floats.
typedef float (*shoal_pair_kernel)(const float *_Nonnull a, const float *_Nonnull b, size_t dimension);

// The distances of `query` to `count` rows, written to `distances[0 ..< count]`. `stride` is in bytes. Every block that
// `slots` touches must be in the table; the table's pointers may be replaced meanwhile by copies of the same rows.
typedef void (*shoal_rows_kernel)(
    const float *_Nonnull query, size_t dimension, const void *_Nullable const *_Nonnull table, size_t stride,
    const uint32_t *_Nonnull slots, size_t count, float *_Nonnull distances);

// The kernels of one instruction set.
typedef struct shoal_kernels {
    const char *_Nonnull name;
    shoal_pair_kernel _Nonnull dot, squared_l2, l1;
    shoal_rows_kernel _Nonnull dot_rows, squared_l2_rows, l1_rows;
} shoal_kernels;

// The fastest set that this CPU supports.
const shoal_kernels *_Nonnull shoal_kernels_best(void);

// All sets that this CPU supports, scalar first: number `index`, or NULL past the last.
const shoal_kernels *_Nullable shoal_kernels_supported(size_t index);

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
