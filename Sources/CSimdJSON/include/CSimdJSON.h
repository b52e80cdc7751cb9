/// JSON parsing by simdjson's DOM, for Swift: a thin C face over the system's libsimdjson (3.0).
///
/// A parser owns one document: parsing again ends every element of the document before. Elements and iterators are
/// plain values that point into their parser's document. Nothing here throws. One parser serves one thread at a time.
#ifndef CSIMDJSON_H
#define CSIMDJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct shoal_json_parser shoal_json_parser;

/// A value of a document. Two words, passed by value, valid until its parser parses again or is freed.
typedef struct {
    const void *_Nullable document;
    size_t index;
} shoal_json_element;

/// Walks the elements of an array or the fields of an object.
typedef struct {
    shoal_json_element current;
    shoal_json_element end;
} shoal_json_iterator;

typedef enum : uint8_t {
    SHOAL_JSON_NULL,
    SHOAL_JSON_BOOL,
    SHOAL_JSON_INT64,
    /// An integer above INT64_MAX.
    SHOAL_JSON_UINT64,
    SHOAL_JSON_DOUBLE,
    SHOAL_JSON_STRING,
    SHOAL_JSON_ARRAY,
    SHOAL_JSON_OBJECT,
} shoal_json_type;

typedef enum : uint8_t {
    SHOAL_JSON_OK,
    SHOAL_JSON_EMPTY,
    SHOAL_JSON_TOO_DEEP,
    /// An integer that no 64 bits hold, or a float beyond double's range.
    SHOAL_JSON_NUMBER_OUT_OF_RANGE,
    SHOAL_JSON_BAD_STRING,
    SHOAL_JSON_BAD_UTF8,
    SHOAL_JSON_MALFORMED,
    SHOAL_JSON_OUT_OF_MEMORY,
} shoal_json_error;

typedef enum : uint8_t {
    SHOAL_JSON_FOUND,
    SHOAL_JSON_ABSENT,
    /// The object has the key more than once.
    SHOAL_JSON_DUPLICATE,
} shoal_json_lookup;

typedef enum : uint8_t {
    SHOAL_JSON_FLOATS_OK,
    SHOAL_JSON_FLOATS_NOT_A_NUMBER,
    /// A number whose nearest float32 is infinite.
    SHOAL_JSON_FLOATS_OUT_OF_RANGE,
} shoal_json_floats;

/// A parser that refuses documents nested deeper than `max_depth`; NULL when memory is short. Free it with
/// `shoal_json_parser_free`.
shoal_json_parser *_Nullable shoal_json_parser_make(size_t max_depth);
void shoal_json_parser_free(shoal_json_parser *_Nonnull parser);

/// Parses `length` bytes, which are copied first: they need no padding and may go away. On success `root` is the
/// document's root; on failure it is left alone and the parser may be used again.
shoal_json_error shoal_json_parse(
    shoal_json_parser *_Nonnull parser, const void *_Nullable bytes, size_t length, shoal_json_element *_Nonnull root);

/// The bytes of the longest document that the parser has buffers for.
size_t shoal_json_parser_capacity(const shoal_json_parser *_Nonnull parser);

shoal_json_type shoal_json_type_of(shoal_json_element element);

/// The value of an element of the type that the name says; anything (but nothing undefined) for another type.
bool shoal_json_bool(shoal_json_element element);
int64_t shoal_json_int64(shoal_json_element element);
uint64_t shoal_json_uint64(shoal_json_element element);
/// Of any number.
double shoal_json_double(shoal_json_element element);
/// UTF-8, not terminated; lives as long as the document. May contain NUL characters.
const char *_Nonnull shoal_json_string(shoal_json_element element, size_t *_Nonnull length);

/// The number of elements or fields; 0xFFFFFF stands for that many or more. 0 for other types.
size_t shoal_json_count(shoal_json_element container);

/// An iterator at the start of an array or object; one without elements for other types.
shoal_json_iterator shoal_json_iterate(shoal_json_element container);
/// Moves past the next element of an array and sets `element` to it; false at the end.
bool shoal_json_next(shoal_json_iterator *_Nonnull iterator, shoal_json_element *_Nonnull element);
/// The same for an object's next field.
bool shoal_json_next_field(
    shoal_json_iterator *_Nonnull iterator, const char *_Nullable *_Nonnull key, size_t *_Nonnull key_length,
    shoal_json_element *_Nonnull element);

/// Finds the field `key` of an object. Complexity: linear in the number of fields.
shoal_json_lookup shoal_json_find(
    shoal_json_element object, const char *_Nonnull key, size_t key_length, shoal_json_element *_Nonnull element);

/// Writes the numbers of an array to `out`, which holds `capacity` of them; an array with more is cut. `count` is how
/// many were written, which is also the index of the first bad element when the result is not OK.
shoal_json_floats shoal_json_read_floats(
    shoal_json_element array, float *_Nullable out, size_t capacity, size_t *_Nonnull count);

/// The element as minified JSON. Lives until the next call with the same parser; NULL when memory is short.
const char *_Nullable shoal_json_minify(
    shoal_json_parser *_Nonnull parser, shoal_json_element element, size_t *_Nonnull length);

#ifdef __cplusplus
}
#endif

#endif
