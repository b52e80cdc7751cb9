#define XXH_INLINE_ALL
#include <xxhash.h>

#include "CXXHash.h"

uint64_t shoal_xxh64(const void *bytes, size_t length, uint64_t seed) { return XXH64(bytes, length, seed); }

uint64_t shoal_xxh3(const void *bytes, size_t length) { return XXH3_64bits(bytes, length); }

void shoal_xxh3_128(const void *bytes, size_t length, uint64_t *high, uint64_t *low) {
    XXH128_hash_t hash = XXH3_128bits(bytes, length);
    *high = hash.high64;
    *low = hash.low64;
}
