#include <math.h>
#include <string.h>

#include "float16.h"
#include "kernels.h"

// From vectors to what rows hold, and back.

shoal_code_correction shoal_encode_codes(const float *vector, size_t dimension, int8_t *codes, size_t stride) {
    float largest = 0;
    for (size_t i = 0; i < dimension; i++) {
        float magnitude = fabsf(vector[i]);
        if (magnitude > largest && magnitude <= __FLT_MAX__) largest = magnitude;
    }
    // Below, the reciprocal would not be finite.
    int is_zero = largest < 1e-35f;
    float inverse = is_zero ? 0 : 127 / largest;
    // Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the sum.
    const float magic = 12582912.0f;
    for (size_t i = 0; i < dimension; i++) {
        float scaled = fabsf(vector[i]) <= __FLT_MAX__ ? vector[i] * inverse : 0;
        float sum = scaled + magic;
        int32_t bits;
        memcpy(&bits, &sum, 4);
        codes[i] = (int8_t)(bits - 0x4B400000);
    }
    memset(codes + dimension, 0, stride - dimension);
    // The scale for which scale * codes is nearest to the vector, which is about largest / 127.
    double product = 0, squares = 0, squared_length = 0;
    for (size_t i = 0; i < dimension; i++) {
        float component = fabsf(vector[i]) <= __FLT_MAX__ ? vector[i] : 0;
        product += (double)component * codes[i];
        squares += (double)codes[i] * codes[i];
        squared_length += (double)component * component;
    }
    shoal_code_correction correction = {squares > 0 ? (float)(product / squares) : 0, (float)squared_length};
    return correction;
}

// Replaces v by H v / sqrt(count), H the Hadamard matrix; `count` is a power of two.
static void hadamard(float *vector, size_t count) {
    for (size_t half = 1; half < count; half *= 2) {
        for (size_t start = 0; start < count; start += 2 * half) {
            for (size_t i = start; i < start + half; i++) {
                float a = vector[i], b = vector[i + half];
                vector[i] = a + b;
                vector[i + half] = a - b;
            }
        }
    }
    float scale = 1 / sqrtf((float)count);
    for (size_t i = 0; i < count; i++) vector[i] *= scale;
}

// Rounds of random signs and a Hadamard transform of the largest power of two of components, at one end and the other
// by turns, and a rotation by 45 degrees of each component of the first half and its counterpart of the second. All of
// them are orthogonal, and together spread each component over all others.
void shoal_rotate(float *vector, size_t padded, const uint64_t *signs) {
    size_t power = 64;
    while (power * 2 <= padded) power *= 2;
    for (size_t round = 0; round < SHOAL_ROTATION_ROUNDS; round++) {
        const uint64_t *flips = signs + round * (padded / 64);
        for (size_t i = 0; i < padded; i++) {
            if (flips[i / 64] >> (i % 64) & 1) vector[i] = -vector[i];
        }
        hadamard(round % 2 == 0 ? vector : vector + padded - power, power);
        if (power == padded) continue;
        for (size_t i = 0; i < padded / 2; i++) {
            float a = vector[i], b = vector[i + padded / 2];
            vector[i] = (a + b) * 0.70710678f;
            vector[i + padded / 2] = (a - b) * 0.70710678f;
        }
    }
}

float shoal_encode_bits(const float *rotated, size_t padded, uint64_t *bits) {
    float sum = 0;
    for (size_t word = 0; word < padded / 64; word++) {
        uint64_t signs = 0;
        for (size_t bit = 0; bit < 64; bit++) {
            float component = rotated[word * 64 + bit];
            signs |= (uint64_t)(component > 0) << bit;
            sum += fabsf(component);
        }
        bits[word] = signs;
    }
    return sum;
}

void shoal_prepare_bit_query(const float *rotated, size_t padded, uint64_t *planes, shoal_bit_query *query) {
    float lowest = INFINITY, highest = -INFINITY, sum = 0;
    for (size_t i = 0; i < padded; i++) {
        lowest = fminf(lowest, rotated[i]);
        highest = fmaxf(highest, rotated[i]);
        sum += rotated[i];
    }
    const float levels = (1 << SHOAL_BIT_PLANES) - 1;
    float step = (highest - lowest) / levels, inverse = step > 0 ? 1 / step : 0;
    size_t words = padded / 64;
    memset(planes, 0, SHOAL_BIT_PLANES * words * 8);
    for (size_t i = 0; i < padded; i++) {
        uint32_t level = (uint32_t)fminf(levels, rintf((rotated[i] - lowest) * inverse));
        for (size_t plane = 0; plane < SHOAL_BIT_PLANES; plane++) {
            planes[plane * words + i / 64] |= (uint64_t)(level >> plane & 1) << (i % 64);
        }
    }
    query->planes = planes;
    query->lowest = lowest;
    query->step = step;
    query->sum = sum;
}

void shoal_to_float16(const float *from, uint16_t *to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = shoal_half_of_float(from[i]);
}

void shoal_from_float16(const uint16_t *from, float *to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = shoal_float_of_half(from[i]);
}

void shoal_to_uint8(const float *from, uint8_t *to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = (uint8_t)rintf(fminf(fmaxf(from[i], 0), 255));
}

void shoal_from_uint8(const uint8_t *from, float *to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = from[i];
}
