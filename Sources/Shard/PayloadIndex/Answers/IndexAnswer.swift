internal import DataModel
internal import LMDB

/// Answers conditions on one path from its index.
struct IndexAnswer {
    let entry: PayloadIndexEntry
    let reader: PostingsReader
    /// All rows of the view.
    let universe: RowBitmap

    init(_ entry: PayloadIndexEntry, store: PointStore, universe: RowBitmap, slotLimit: UInt32) {
        self.entry = entry
        self.universe = universe
        reader = PostingsReader(store: store, index: entry.number, slotLimit: slotLimit)
    }

    private var index: UInt16 { entry.number }

    /// The rows that have a value that passes; nil when the index knows nothing of such a test.
    func rows(passing test: FieldTest, _ transaction: borrowing ReadTransaction) throws -> RowBounds? {
        switch (test, entry.config.kind) {
        case (.any(let values), _): try rows(equalToAny: values, transaction)
        case (.except(let values), _): try rows(exceptFor: values, transaction)
        case (.range(let range), .integer), (.range(let range), .float):
            try rows(in: OrderedBits.bounds(range), transaction)
        case (.datetimeRange(let range), .datetime): try rows(in: OrderedBits.bounds(range), transaction)
        case (.text(let text), .text): try rows(withAll: text, transaction)
        case (.textAny(let text), .text): try rows(withAny: text, transaction)
        case (.phrase(let text), .text): try rows(withPhrase: text, transaction)
        case (.geoBoundingBox(let box), .geo): try rows(in: box, transaction)
        case (.geoRadius(let radius), .geo): try rows(in: radius, transaction)
        case (.geoPolygon(let polygon), .geo): try rows(in: polygon, transaction)
        default: nil
        }
    }

    func emptyRows(_ transaction: borrowing ReadTransaction) throws -> RowBounds {
        RowBounds(exact: universe.subtracting(try reader.rows(.present, transaction)))
    }

    func nullRows(_ transaction: borrowing ReadTransaction) throws -> RowBounds {
        RowBounds(exact: try reader.rows(.null, transaction))
    }

    // MARK: - Equality

    private func rows(
        equalToAny values: [MatchValue], _ transaction: borrowing ReadTransaction
    ) throws -> RowBounds? {
        var keys: [PostingKey] = []
        var exact = RowBitmap()
        var inexact = RowBitmap()
        for value in values {
            switch (value, entry.config.kind) {
            case (.keyword(let text), .keyword), (.keyword(let text), .uuid):
                let key = key(of: text)
                if PostingKey.isAmbiguous(text) {
                    inexact = inexact.union(try reader.rows(of: [key], transaction))
                } else {
                    keys.append(key)
                }
            case (.bool(let bool), .bool):
                keys.append(PostingKey(index: index, bool: bool))
            case (.integer(let number), .integer), (.integer(let number), .float):
                let bits = OrderedBits.of(Double(number))
                let rows = try reader.rows(in: bits...bits, transaction)
                // Beyond, several integers are one double.
                if number.magnitude < 1 << 53 { exact = exact.union(rows) } else { inexact = inexact.union(rows) }
                let fractions = try reader.rows(.integralFraction, transaction)
                inexact = inexact.union(exact.intersection(fractions))
                exact = exact.subtracting(fractions)
            default:
                // A value of a type that the index does not hold.
                return nil
            }
        }
        exact = exact.union(try reader.rows(of: keys, transaction))
        return RowBounds(certain: exact, possible: exact.union(inexact))
    }

    private func key(of text: String) -> PostingKey {
        entry.config.kind == .uuid ? PostingKey(index: index, uuid: text) : PostingKey(index: index, text: text)
    }

    /// Rows with one value pass when it is not excluded. What else they have is only in their payloads.
    private func rows(
        exceptFor values: [MatchValue], _ transaction: borrowing ReadTransaction
    ) throws -> RowBounds? {
        guard let equal = try rows(equalToAny: values, transaction) else { return nil }
        let present = try reader.rows(.present, transaction)
        let irregular = try reader.rows(.irregular, transaction)
        return RowBounds(
            certain: present.subtracting(irregular).subtracting(equal.possible),
            possible: present.subtracting(equal.certain.subtracting(irregular)))
    }

    private func rows(
        in range: ClosedRange<UInt64>?, _ transaction: borrowing ReadTransaction
    ) throws -> RowBounds {
        guard let range else { return RowBounds(exact: RowBitmap()) }
        return RowBounds(exact: try reader.rows(in: range, transaction))
    }
}

// MARK: - Text

extension IndexAnswer {
    private func tokens(of query: String) -> [String] { Tokenizer(entry.config.text).queryTokens(query) }

    /// Of a row with several texts the index does not know which of them has a token.
    private func rows(withAll text: String, _ transaction: borrowing ReadTransaction) throws -> RowBounds {
        let tokens = tokens(of: text)
        guard let first = tokens.first else { return RowBounds(exact: RowBitmap()) }
        var rows = try rows(withToken: first, transaction)
        for token in tokens.dropFirst() where !rows.isExact || !rows.certain.isEmpty {
            rows = rows.intersection(try self.rows(withToken: token, transaction))
        }
        guard tokens.count > 1 else { return rows }
        let irregular = try reader.rows(.irregular, transaction)
        return RowBounds(certain: rows.certain.subtracting(irregular), possible: rows.possible)
    }

    private func rows(withAny text: String, _ transaction: borrowing ReadTransaction) throws -> RowBounds {
        var rows = RowBounds(exact: RowBitmap())
        for token in tokens(of: text) { rows = rows.union(try self.rows(withToken: token, transaction)) }
        return rows
    }

    /// Only rows with all tokens can have them in a row.
    private func rows(withPhrase text: String, _ transaction: borrowing ReadTransaction) throws -> RowBounds {
        RowBounds(certain: RowBitmap(), possible: try rows(withAll: text, transaction).possible)
    }

    private func rows(withToken token: String, _ transaction: borrowing ReadTransaction) throws -> RowBounds {
        let rows = try reader.rows(of: [PostingKey(index: entry.number, text: token)], transaction)
        return PostingKey.isAmbiguous(token)
            ? RowBounds(certain: RowBitmap(), possible: rows) : RowBounds(exact: rows)
    }
}
