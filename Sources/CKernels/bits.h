// Included behind `TARGET`: the walk over 1-bit codes. Population counts are what the compiler makes of them for the
// target: an instruction wherever there is one.

// Gao, Long: RaBitQ, SIGMOD 2024, section 3.3: the inner product of a row's bits and the quantised query, by bit planes.
TARGET SHOAL_INLINE void bit_rows(
    shoal_metric metric, const shoal_bit_query *query, const void *const *table, size_t stride,
    const uint32_t *slots, size_t count, float *distances) {
    size_t words = stride / 8;
    for (size_t i = 0; i < count; i++) {
        if (i + 4 < count) __builtin_prefetch(shoal_row(table, stride, slots[i + 4]));
        const uint64_t *row = (const uint64_t *)shoal_row(table, stride, slots[i]);
        uint64_t ones = 0, sums[SHOAL_BIT_PLANES] = {0};
        for (size_t word = 0; word < words; word++) {
            uint64_t bits = row[word];
            ones += (uint64_t)__builtin_popcountll(bits);
#pragma clang loop unroll(full)
            for (size_t plane = 0; plane < SHOAL_BIT_PLANES; plane++) {
                sums[plane] += (uint64_t)__builtin_popcountll(bits & query->planes[plane * words + word]);
            }
        }
        uint64_t product = 0;
        for (size_t plane = 0; plane < SHOAL_BIT_PLANES; plane++) product += sums[plane] << plane;
        distances[i] = shoal_finish_bits(
            metric, query, shoal_correction(table, stride, slots[i]), (uint32_t)product, (uint32_t)ones);
    }
}
