// Included by each vector instruction set's file behind its `TARGET` and `code_four`: the walk over 8-bit codes.

// The distances of `query` to `count` rows, four at a time; past the end the last row stands in.
TARGET SHOAL_INLINE void code_rows(
    shoal_metric metric, const shoal_code_query *query, const void *const *table, size_t stride,
    const uint32_t *slots, size_t count, float *distances) {
    const int8_t *row[4], *next[4];
    if (count == 0) return;
    for (size_t r = 0; r < 4; r++) {
        row[r] = (const int8_t *)shoal_row(table, stride, slots[r < count ? r : count - 1]);
    }
    for (size_t i = 0; i < count; i += 4) {
        for (size_t r = 0; r < 4; r++) {
            size_t position = i + 4 + r < count ? i + 4 + r : count - 1;
            next[r] = (const int8_t *)shoal_row(table, stride, slots[position]);
        }
        for (size_t r = 0; r < 4; r++) {
            size_t position = i + 4 + r < count ? i + 4 + r : count - 1;
            __builtin_prefetch(shoal_correction(table, stride, slots[position]));
        }
        int32_t products[4];
        code_four(query->codes, stride, row, next, products);
        for (size_t r = 0; r < 4 && i + r < count; r++) {
            distances[i + r] = shoal_finish_code(
                metric, query, shoal_correction(table, stride, slots[i + r]), products[r]);
        }
        for (size_t r = 0; r < 4; r++) row[r] = next[r];
    }
}
