#ifndef CSHA256_H
#define CSHA256_H
/// SHA-256 of data that comes in pieces: a shim over the system's OpenSSL (libcrypto).
#include <stddef.h>
#include <stdint.h>

/// A digest that is being computed. A plain value: a copy goes on from where it was made.
typedef struct {
    uint64_t words[16];
} shoal_sha256;

void shoal_sha256_init(shoal_sha256 *digest);
void shoal_sha256_update(shoal_sha256 *digest, const void *bytes, size_t length);

/// Writes the 32 bytes of the result; the digest is used up.
void shoal_sha256_final(shoal_sha256 *digest, uint8_t *result);
#endif
