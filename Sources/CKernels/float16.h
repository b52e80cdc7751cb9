#ifndef SHOAL_FLOAT16_H
#define SHOAL_FLOAT16_H

#include <stdint.h>
#include <string.h>

// IEEE 754 half precision in plain C.

static inline float shoal_float_of_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3FF, bits;
    float value;
    if (exponent == 0) {
        // Zero and the denormals: fraction * 2^-24, exact in a float.
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = exponent == 31 ? sign | 0x7F800000 | fraction << 13 : sign | (exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, 4);
    return value;
}

// Rounds to nearest, ties to even; what is too large becomes the largest finite half: a vector stays finite.
static inline uint16_t shoal_half_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) return sign | 0x7E00;
    if (magnitude >= 0x477FF000) return sign | 0x7BFF;
    if (magnitude < 0x38800000) {
        // Denormal: adding 0.5 leaves exactly the bits of a half's fraction, rounded by the addition.
        float shifted;
        memcpy(&shifted, &magnitude, 4);
        shifted += 0.5f;
        memcpy(&bits, &shifted, 4);
        return sign | (uint16_t)(bits - 0x3F000000);
    }
    uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
    return sign | (uint16_t)((rounded >> 13) - (112 << 10));
}

#endif
