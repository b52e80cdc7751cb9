internal import DataModel
internal import LMDB

/// What the writes of one transaction add to the payload indexes: gathered in memory, so that each container is read and
/// written once.
struct PostingsBatch {
    private var slots: [PostingKey: [UInt32]] = [:]
    /// By index.
    private var pairs: [UInt16: [NumberPair]] = [:]

    var isEmpty: Bool { slots.isEmpty && pairs.isEmpty }

    /// Adds a row to those of a value; rows come in ascending order, and may come again.
    mutating func insert(_ slot: UInt32, _ key: PostingKey) {
        slots[key, default: []].append(slot)
    }

    mutating func insert(_ slot: UInt32, bits: UInt64, index: UInt16) {
        pairs[index, default: []].append(NumberPair(bits: bits, slot: slot))
    }

    /// In the order of keys, so that LMDB goes through its pages once.
    func write(to store: PointStore, _ transaction: borrowing WriteTransaction) throws {
        for (key, slots) in slots.sorted(by: { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }) {
            var first = 0
            while first < slots.count {
                let chunk = slots[first] >> 16
                let end = slots[first...].firstIndex { $0 >> 16 != chunk } ?? slots.count
                try add(slots[first..<end], to: key.key(chunk: UInt16(chunk)), store, transaction)
                first = end
            }
        }
        for (index, pairs) in pairs.sorted(by: { $0.key < $1.key }) {
            try NumbersWriter(store: store, index: index).add(pairs.sorted()[...], transaction)
        }
    }

    private func add(
        _ slots: ArraySlice<UInt32>, to key: [UInt8], _ store: PointStore, _ transaction: borrowing WriteTransaction
    ) throws {
        var values: [UInt16] = []
        values.reserveCapacity(slots.count)
        for slot in slots {
            let value = UInt16(truncatingIfNeeded: slot)
            if values.last != value { values.append(value) }
        }
        var container = Container(ascending: values)
        if let old = try store.posting(at: key, transaction) { container = old.container.union(container) }
        let value = Sealed.bytes(ContainerValue.bytes(container), at: Sealed.number(of: key))
        try transaction.put(value, at: key, in: store.postings)
    }
}
