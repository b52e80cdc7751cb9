internal import DataModel

/// Splits texts into the tokens that a text index holds, and queries into those that they ask for.
struct Tokenizer: Sendable, Equatable {
    let options: PayloadIndexConfig.TextOptions

    init(_ options: PayloadIndexConfig.TextOptions?) { self.options = options ?? .init() }

    /// The tokens under which a text is found, in its order; with the prefix tokenizer, all prefixes of its words.
    func documentTokens(_ text: String) -> [String] {
        guard options.tokenizer == .prefix else { return words(text).filter(hasAllowedLength) }
        return words(text).flatMap { word -> [String] in
            let longest = min(word.count, options.maximumTokenLength ?? .max)
            guard options.minimumTokenLength <= longest else { return [] }
            return (options.minimumTokenLength...longest).map { String(word.prefix($0)) }
        }
    }

    /// The tokens that a text must have to match `query`. A query without any matches nothing.
    func queryTokens(_ query: String) -> [String] {
        guard options.tokenizer == .prefix else { return words(query).filter(hasAllowedLength) }
        return words(query).map { word in
            options.maximumTokenLength.map { String(word.prefix($0)) } ?? word
        }.filter { $0.count >= options.minimumTokenLength }
    }

    /// Whether the tokens of `phrase` follow each other somewhere in `text`.
    func contains(phrase: String, in text: String) -> Bool {
        let wanted = words(phrase).filter(hasAllowedLength)
        let tokens = words(text).filter(hasAllowedLength)
        guard !wanted.isEmpty, wanted.count <= tokens.count else { return false }
        return (0...tokens.count - wanted.count).contains { tokens[$0..<$0 + wanted.count].elementsEqual(wanted) }
    }

    private func hasAllowedLength(_ token: String) -> Bool {
        let count = token.count
        return count >= options.minimumTokenLength && count <= options.maximumTokenLength ?? .max
    }

    private func words(_ text: String) -> [String] {
        let text = options.lowercase ? text.lowercased() : text
        let isWhitespace = options.tokenizer == .whitespace
        return text.unicodeScalars.split { scalar in
            isWhitespace ? scalar.properties.isWhitespace : !Self.isWordScalar(scalar)
        }.map { String($0) }
    }

    private static func isWordScalar(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII {
            return switch UInt8(truncatingIfNeeded: scalar.value) {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        return scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }
}
