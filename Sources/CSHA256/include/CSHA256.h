#ifndef CSHA256_H
#define CSHA256_H
/// SHA-256 (FIPS 180-4) of data that comes in pieces, with the processor's own instructions where it has them.
#include <stddef.h>
#include <stdint.h>

/// A digest that is being computed. A plain value: a copy goes on from where it was made.
typedef struct {
    uint32_t state[8];
    uint64_t length;
    uint8_t pending[64];
} shoal_sha256;

void shoal_sha256_init(shoal_sha256 *digest);
void shoal_sha256_update(shoal_sha256 *digest, const void *bytes, size_t length);

/// Writes the 32 bytes of the result; the digest is used up.
void shoal_sha256_final(shoal_sha256 *digest, uint8_t *result);

/// As `shoal_sha256_update`, without the processor's instructions: for a test that compares the two.
void shoal_sha256_update_portable(shoal_sha256 *digest, const void *bytes, size_t length);
#endif
