// Included by each vector instruction set's file behind its `TARGET`, `pair` and `four`: the walk over raw vectors.

// The distances of `query` to `count` rows, four at a time.
TARGET SHOAL_INLINE void rows(
    shoal_metric metric, shoal_type type, const float *query, size_t dimension, const void *const *table,
    size_t stride, const uint32_t *slots, size_t count, float *distances) {
    const char *row[4], *next[4];
    for (size_t r = 0; r < 4 && r < count; r++) row[r] = shoal_row(table, stride, slots[r]);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (size_t r = 0; r < 4; r++) {
            // Past the end the last row stands in: it is in the cache, so asking for it costs nothing.
            size_t position = i + 4 + r < count ? i + 4 + r : count - 1;
            next[r] = shoal_row(table, stride, slots[position]);
        }
        four(metric, type, query, dimension, row, next, distances + i);
        for (size_t r = 0; r < 4; r++) row[r] = next[r];
    }
    for (size_t r = 0; i + r < count; r++) distances[i + r] = pair(metric, type, query, row[r], dimension);
}
