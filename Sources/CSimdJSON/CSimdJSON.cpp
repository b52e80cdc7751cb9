#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cmath>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>

#include "CSimdJSON.h"

using namespace simdjson;

struct shoal_json_parser {
    dom::parser parser;
    size_t max_depth;
    std::string minified;

    explicit shoal_json_parser(size_t depth) : max_depth(depth) {}
};

namespace {

// simdjson's elements and iterators are a document pointer and a tape index, trivially copyable: the C structs carry
// the same two words. The asserts stop the build should another version of the library lay them out differently.
template <typename To, typename From> To bits(const From &from) {
    static_assert(sizeof(To) == sizeof(From));
    static_assert(std::is_trivially_copyable_v<To> && std::is_trivially_copyable_v<From>);
    To to;
    std::memcpy(static_cast<void *>(&to), &from, sizeof to);
    return to;
}

dom::element native(shoal_json_element element) { return bits<dom::element>(element); }
shoal_json_element plain(dom::element element) { return bits<shoal_json_element>(element); }

shoal_json_error translated(error_code code) {
    switch (code) {
    case SUCCESS: return SHOAL_JSON_OK;
    case EMPTY: return SHOAL_JSON_EMPTY;
    case DEPTH_ERROR: return SHOAL_JSON_TOO_DEEP;
    case NUMBER_ERROR: return SHOAL_JSON_NUMBER_OUT_OF_RANGE;
    case STRING_ERROR: return SHOAL_JSON_BAD_STRING;
    case UTF8_ERROR: return SHOAL_JSON_BAD_UTF8;
    case MEMALLOC: return SHOAL_JSON_OUT_OF_MEMORY;
    default: return SHOAL_JSON_MALFORMED;
    }
}

} // namespace

shoal_json_parser *shoal_json_parser_make(size_t max_depth) { return new (std::nothrow) shoal_json_parser(max_depth); }

void shoal_json_parser_free(shoal_json_parser *parser) { delete parser; }

shoal_json_error shoal_json_parse(
    shoal_json_parser *parser, const void *bytes, size_t length, shoal_json_element *root) {
    if (bytes == nullptr || length == 0) return SHOAL_JSON_EMPTY;
    try {
        // The first allocation fixes the depth; later growth keeps it.
        if (parser->parser.capacity() == 0 || parser->parser.max_depth() != parser->max_depth) {
            if (auto error = parser->parser.allocate(length, parser->max_depth)) return translated(error);
        }
        dom::element element;
        auto error = parser->parser.parse(static_cast<const uint8_t *>(bytes), length, true).get(element);
        if (error) return translated(error);
        *root = plain(element);
        return SHOAL_JSON_OK;
    } catch (...) {
        return SHOAL_JSON_OUT_OF_MEMORY;
    }
}

size_t shoal_json_parser_capacity(const shoal_json_parser *parser) { return parser->parser.capacity(); }

shoal_json_type shoal_json_type_of(shoal_json_element element) {
    switch (native(element).type()) {
    case dom::element_type::BOOL: return SHOAL_JSON_BOOL;
    case dom::element_type::INT64: return SHOAL_JSON_INT64;
    case dom::element_type::UINT64: return SHOAL_JSON_UINT64;
    case dom::element_type::DOUBLE: return SHOAL_JSON_DOUBLE;
    case dom::element_type::STRING: return SHOAL_JSON_STRING;
    case dom::element_type::ARRAY: return SHOAL_JSON_ARRAY;
    case dom::element_type::OBJECT: return SHOAL_JSON_OBJECT;
    case dom::element_type::NULL_VALUE: break;
    }
    return SHOAL_JSON_NULL;
}

bool shoal_json_bool(shoal_json_element element) {
    bool value = false;
    return native(element).get(value) == SUCCESS && value;
}

int64_t shoal_json_int64(shoal_json_element element) {
    int64_t value = 0;
    return native(element).get(value) == SUCCESS ? value : 0;
}

uint64_t shoal_json_uint64(shoal_json_element element) {
    uint64_t value = 0;
    return native(element).get(value) == SUCCESS ? value : 0;
}

double shoal_json_double(shoal_json_element element) {
    double value = 0;
    return native(element).get(value) == SUCCESS ? value : 0;
}

const char *shoal_json_string(shoal_json_element element, size_t *length) {
    std::string_view value;
    if (native(element).get(value) != SUCCESS) value = "";
    *length = value.size();
    return value.data();
}

size_t shoal_json_count(shoal_json_element container) {
    dom::array array;
    if (native(container).get(array) == SUCCESS) return array.size();
    dom::object object;
    if (native(container).get(object) == SUCCESS) return object.size();
    return 0;
}

shoal_json_iterator shoal_json_iterate(shoal_json_element container) {
    dom::array array;
    if (native(container).get(array) == SUCCESS) {
        return {bits<shoal_json_element>(array.begin()), bits<shoal_json_element>(array.end())};
    }
    dom::object object;
    if (native(container).get(object) == SUCCESS) {
        return {bits<shoal_json_element>(object.begin()), bits<shoal_json_element>(object.end())};
    }
    return {container, container};
}

bool shoal_json_next(shoal_json_iterator *iterator, shoal_json_element *element) {
    if (iterator->current.index >= iterator->end.index) return false;
    auto position = bits<dom::array::iterator>(iterator->current);
    *element = plain(*position);
    iterator->current = bits<shoal_json_element>(++position);
    return true;
}

bool shoal_json_next_field(
    shoal_json_iterator *iterator, const char **key, size_t *key_length, shoal_json_element *element) {
    if (iterator->current.index >= iterator->end.index) return false;
    auto position = bits<dom::object::iterator>(iterator->current);
    auto name = position.key();
    *key = name.data();
    *key_length = name.size();
    *element = plain(position.value());
    iterator->current = bits<shoal_json_element>(++position);
    return true;
}

shoal_json_lookup shoal_json_find(
    shoal_json_element object, const char *key, size_t key_length, shoal_json_element *element) {
    dom::object fields;
    if (native(object).get(fields) != SUCCESS) return SHOAL_JSON_ABSENT;
    auto result = SHOAL_JSON_ABSENT;
    for (auto field = fields.begin(); field != fields.end(); ++field) {
        if (!field.key_equals(std::string_view(key, key_length))) continue;
        if (result == SHOAL_JSON_FOUND) return SHOAL_JSON_DUPLICATE;
        *element = plain(field.value());
        result = SHOAL_JSON_FOUND;
    }
    return result;
}

shoal_json_floats shoal_json_read_floats(shoal_json_element array, float *out, size_t capacity, size_t *count) {
    *count = 0;
    dom::array values;
    if (native(array).get(values) != SUCCESS) return SHOAL_JSON_FLOATS_NOT_A_NUMBER;
    size_t written = 0;
    auto result = SHOAL_JSON_FLOATS_OK;
    for (auto value : values) {
        if (written == capacity) break;
        double number;
        if (value.get(number) != SUCCESS) {
            result = SHOAL_JSON_FLOATS_NOT_A_NUMBER;
            break;
        }
        auto single = static_cast<float>(number);
        if (!std::isfinite(single)) {
            result = SHOAL_JSON_FLOATS_OUT_OF_RANGE;
            break;
        }
        out[written++] = single;
    }
    *count = written;
    return result;
}

const char *shoal_json_minify(shoal_json_parser *parser, shoal_json_element element, size_t *length) {
    try {
        parser->minified = simdjson::to_string(native(element));
    } catch (...) {
        *length = 0;
        return nullptr;
    }
    *length = parser->minified.size();
    return parser->minified.data();
}
