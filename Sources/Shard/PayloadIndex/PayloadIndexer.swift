internal import DataModel

/// Finds the values of payloads that the indexes hold.
struct PayloadIndexer {
    private struct Field {
        let entry: PayloadIndexEntry
        let steps: PathSteps
        let tokenizer: Tokenizer
    }

    private let fields: [Field]
    /// What was found so far.
    private(set) var batch = PostingsBatch()

    init(_ entries: [PayloadIndexEntry]) {
        fields = entries.map { entry in
            Field(entry: entry, steps: PathSteps(entry.config.path), tokenizer: Tokenizer(entry.config.text))
        }
    }

    /// Adds the values of one row.
    mutating func add(_ json: UnsafeRawBufferPointer, slot: UInt32) throws {
        // Most points of a collection without payloads.
        guard !fields.isEmpty, json.count > 2 else { return }
        let isJSON: Void? = PayloadParser.withDocument(json) { root in
            for field in fields { addRow(root, field, slot) }
        }
        guard isJSON != nil else { throw ShardError.corrupted(reason: "the payload of row \(slot) is no JSON") }
    }

    private mutating func addRow(_ root: PayloadValue, _ field: Field, _ slot: UInt32) {
        let index = field.entry.number
        if field.steps.isNull(in: root) { batch.insert(slot, PostingKey(index: index, rows: .null)) }
        if field.steps.isEmpty(in: root) { return }
        batch.insert(slot, PostingKey(index: index, rows: .present))
        var (values, held) = (0, 0)
        field.steps.forEachValue(in: root) { value in
            values += 1
            held += addValue(value, field, slot) ? 1 : 0
        }
        if values != 1 || held != 1 { batch.insert(slot, PostingKey(index: index, rows: .irregular)) }
    }

    /// False when the index does not hold values of the type.
    private mutating func addValue(_ value: PayloadValue, _ field: Field, _ slot: UInt32) -> Bool {
        let index = field.entry.number
        switch field.entry.config.kind {
        case .keyword:
            guard let text = value.string else { return false }
            batch.insert(slot, PostingKey(index: index, text: text))
        case .uuid:
            guard let text = value.string else { return false }
            batch.insert(slot, PostingKey(index: index, uuid: text))
        case .text:
            guard let text = value.string else { return false }
            for token in field.tokenizer.documentTokens(text) {
                batch.insert(slot, PostingKey(index: index, text: token))
            }
        case .bool:
            guard let bool = value.bool else { return false }
            batch.insert(slot, PostingKey(index: index, bool: bool))
        case .integer, .float:
            guard let number = value.number else { return false }
            batch.insert(slot, bits: OrderedBits.of(number), index: index)
            if value.integer == nil, number.rounded() == number {
                batch.insert(slot, PostingKey(index: index, rows: .integralFraction))
            }
        case .datetime:
            guard let microseconds = value.datetime else { return false }
            batch.insert(slot, bits: OrderedBits.of(microseconds), index: index)
        case .geo:
            guard let place = value.place else { return false }
            batch.insert(slot, bits: GeoCell(place).code, index: index)
        }
        return true
    }
}
