internal import DataModel

/// A test of one value of a payload, with what it compares with made ready.
enum ValueTest: Sendable {
    case any(WantedValues)
    case except(WantedValues)
    /// All of the tokens, none of which there are is in no text.
    case text([String], Tokenizer)
    case textAny([String], Tokenizer)
    case phrase(String, Tokenizer)
    case prefix([UInt8])
    case range(NumberRange)
    case datetimeRange(DatetimeRange)
    case geoBoundingBox(GeoBoundingBox)
    case geoRadius(GeoRadius)
    case geoPolygon(GeoPolygon)
    /// `valuesCount` is about all values together.
    case never

    /// - Parameter tokenizer: of the field's text index; nil splits texts as one with its default options would.
    init(_ test: FieldTest, tokenizer: Tokenizer?) {
        let tokenizer = tokenizer ?? Tokenizer(nil)
        switch test {
        case .any(let values): self = .any(WantedValues(values))
        case .except(let values): self = .except(WantedValues(values))
        case .text(let text): self = .text(tokenizer.queryTokens(text), tokenizer)
        case .textAny(let text): self = .textAny(tokenizer.queryTokens(text), tokenizer)
        case .phrase(let text): self = .phrase(text, tokenizer)
        case .prefix(let text): self = .prefix(Array(text.utf8))
        case .range(let range): self = .range(range)
        case .datetimeRange(let range): self = .datetimeRange(range)
        case .geoBoundingBox(let box): self = .geoBoundingBox(box)
        case .geoRadius(let radius): self = .geoRadius(radius)
        case .geoPolygon(let polygon): self = .geoPolygon(polygon)
        case .valuesCount: self = .never
        }
    }

    func passes(_ value: PayloadValue) -> Bool {
        switch self {
        case .any(let wanted): wanted.contains(value)
        case .except(let unwanted): !value.isNull && !unwanted.contains(value)
        case .text(let tokens, let tokenizer):
            !tokens.isEmpty && value.string.map { Set(tokenizer.documentTokens($0)).isSuperset(of: tokens) } ?? false
        case .textAny(let tokens, let tokenizer):
            value.string.map { !Set(tokenizer.documentTokens($0)).isDisjoint(with: tokens) } ?? false
        case .phrase(let phrase, let tokenizer):
            value.string.map { tokenizer.contains(phrase: phrase, in: $0) } ?? false
        case .prefix(let prefix): value.utf8.map { $0.starts(with: prefix) } ?? false
        case .range(let range): value.number.map(range.contains) ?? false
        case .datetimeRange(let range): value.datetime.map(range.contains) ?? false
        case .geoBoundingBox(let box): value.place.map(box.contains) ?? false
        case .geoRadius(let radius): value.place.map(radius.contains) ?? false
        case .geoPolygon(let polygon): value.place.map(polygon.contains) ?? false
        case .never: false
        }
    }
}

/// The values of a match, by their types.
struct WantedValues: Sendable {
    /// Up to this many strings are compared byte by byte, which makes no string of the payload's.
    private static let comparedStrings = 8

    private var fewStrings: [[UInt8]] = []
    private var manyStrings: Set<String> = []
    private var integers: Set<Int64> = []
    private var bools: Set<Bool> = []

    init(_ values: [MatchValue]) {
        var strings: Set<String> = []
        for value in values {
            switch value {
            case .keyword(let text): strings.insert(text)
            case .integer(let number): integers.insert(number)
            case .bool(let bool): bools.insert(bool)
            }
        }
        if strings.count <= Self.comparedStrings {
            fewStrings = strings.map { Array($0.utf8) }
        } else {
            manyStrings = strings
        }
    }

    func contains(_ value: PayloadValue) -> Bool {
        if let utf8 = value.utf8 {
            if manyStrings.isEmpty { return fewStrings.contains { utf8.elementsEqual($0) } }
            return manyStrings.contains(String(decoding: utf8, as: UTF8.self))
        }
        if !integers.isEmpty, let integer = value.integer { return integers.contains(integer) }
        if !bools.isEmpty, let bool = value.bool { return bools.contains(bool) }
        return false
    }
}
