#ifndef CXXHASH_H
#define CXXHASH_H
/// xxHash from the system's header, as plain functions that Swift can call.
#include <stddef.h>
#include <stdint.h>

/// XXH64 of `length` bytes: stable across versions, decides the virtual shard of a point.
uint64_t shoal_xxh64(const void *bytes, size_t length, uint64_t seed);

/// XXH3 (64 bits) of `length` bytes: the checksum of blocks, snapshots and frames.
uint64_t shoal_xxh3(const void *bytes, size_t length);

/// XXH3 (128 bits) of `length` bytes: what stands for a client's name of a request.
void shoal_xxh3_128(const void *bytes, size_t length, uint64_t *high, uint64_t *low);
#endif
