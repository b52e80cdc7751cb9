/// An index over the values of one payload field, which turns conditions on it into sets of rows.
package struct PayloadIndexConfig: Sendable, Codable, Equatable {
    package enum Kind: String, Sendable, Codable, CaseIterable {
        case keyword, integer, float, bool, datetime, uuid, geo, text
    }

    package var path: PayloadPath
    package var kind: Kind
    /// For `text` only.
    package var text: TextOptions?

    package struct TextOptions: Sendable, Codable, Equatable {
        package enum Tokenizer: String, Sendable, Codable, CaseIterable {
            case word, whitespace, prefix
        }

        package var tokenizer: Tokenizer
        package var lowercase: Bool
        package var minimumTokenLength: Int
        package var maximumTokenLength: Int?

        package init(
            tokenizer: Tokenizer = .word, lowercase: Bool = true, minimumTokenLength: Int = 1,
            maximumTokenLength: Int? = nil
        ) {
            self.tokenizer = tokenizer
            self.lowercase = lowercase
            self.minimumTokenLength = minimumTokenLength
            self.maximumTokenLength = maximumTokenLength
        }
    }

    package init(path: PayloadPath, kind: Kind, text: TextOptions? = nil) {
        self.path = path
        self.kind = kind
        self.text = text
    }
}

/// How far one replica is with a payload index.
package struct PayloadIndexStatus: Sendable, Equatable {
    package var config: PayloadIndexConfig
    /// The share of the rows that it holds, 0 ... 1; queries use it at 1.
    package var progress: Double
    /// Rows that have a value at the path, those included that a compaction has not yet removed.
    package var points: UInt64

    package init(config: PayloadIndexConfig, progress: Double, points: UInt64) {
        self.config = config
        self.progress = progress
        self.points = points
    }
}
