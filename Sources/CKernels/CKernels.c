#include "kernels.h"

#include <math.h>

// The choice among the instruction sets, and what needs none.

const shoal_kernels *shoal_kernels_supported(size_t index) {
    const shoal_kernels *supported[5] = {&shoal_kernels_scalar};
    size_t count = 1;
#if defined(__x86_64__)
    // Every CPU with AVX2 has F16C and POPCNT.
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl");
    if (avx2) supported[count++] = &shoal_kernels_avx2;
    if (avx512) supported[count++] = &shoal_kernels_avx512;
    if (avx512 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq")) {
        supported[count++] = &shoal_kernels_avx512vnni;
    }
#elif defined(__aarch64__)
    supported[count++] = &shoal_kernels_neon;
#endif
    return index < count ? supported[index] : NULL;
}

const shoal_kernels *shoal_kernels_best(void) {
    const shoal_kernels *best = &shoal_kernels_scalar;
    for (size_t index = 1; shoal_kernels_supported(index) != NULL; index++) best = shoal_kernels_supported(index);
    return best;
}

int shoal_normalise(float *vector, size_t dimension) {
    // Doubles: squares of large floats must not overflow, nor those of small ones vanish.
    double sums[4] = {0, 0, 0, 0};
    size_t i = 0;
    for (; i + 4 <= dimension; i += 4) {
        for (size_t lane = 0; lane < 4; lane++) sums[lane] += (double)vector[i + lane] * vector[i + lane];
    }
    for (; i < dimension; i++) sums[0] += (double)vector[i] * vector[i];
    double length = sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
    if (!(length > 0) || isinf(length)) return 0;
    double scale = 1 / length;
    for (i = 0; i < dimension; i++) vector[i] = (float)(vector[i] * scale);
    return 1;
}
