// These forms are deprecated in OpenSSL 3 in favour of contexts on the heap; a digest here is a plain value that is copied.
#define OPENSSL_API_COMPAT 10101
#include "CSHA256.h"

#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(shoal_sha256), "a digest has room for OpenSSL's");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(shoal_sha256), "a digest is aligned as OpenSSL's");

static SHA256_CTX *context(shoal_sha256 *digest) { return (SHA256_CTX *)digest; }

void shoal_sha256_init(shoal_sha256 *digest) { SHA256_Init(context(digest)); }

void shoal_sha256_update(shoal_sha256 *digest, const void *bytes, size_t length) {
    SHA256_Update(context(digest), bytes, length);
}

void shoal_sha256_final(shoal_sha256 *digest, uint8_t *result) { SHA256_Final(result, context(digest)); }
