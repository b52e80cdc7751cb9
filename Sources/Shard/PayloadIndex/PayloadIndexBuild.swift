internal import DataModel
internal import LMDB

/// One step of the work that payload indexes have left: rows that were there before an index, or the entries of one that
/// was dropped. Each step is one transaction, with its place in the catalog, so that a crash costs one step at most.
struct PayloadIndexBuild {
    enum Outcome: Equatable {
        case idle
        case worked
    }

    /// Bounds of a step: commits of writes wait while one runs.
    static let rowsPerStep: UInt32 = 2_048
    static let payloadBytesPerStep = 1 << 20
    static let deletionsPerStep = 20_000

    let store: PointStore

    func step() throws -> Outcome {
        let catalog = try store.environment.read { try store.loadPayloadIndexes($0) }
        guard catalog.entries.contains(where: { $0.state != .complete }) else { return .idle }
        try store.environment.write { transaction in
            var catalog = try store.loadPayloadIndexes(transaction)
            if let first = catalog.firstUnindexedRow {
                try index(from: first, &catalog, transaction)
            } else if let dropped = catalog.entries.first(where: { $0.state == .dropping }) {
                if try removeEntries(of: dropped.number, transaction) { catalog.remove(dropped.number) }
            }
            try store.save(catalog, transaction)
        }
        return .worked
    }

    /// Indexes some rows for all indexes that are as far: those that were created together are built together.
    private func index(
        from first: UInt32, _ catalog: inout PayloadIndexCatalog, _ transaction: borrowing WriteTransaction
    ) throws {
        let building = catalog.entries.filter { entry in
            if case .building(first, _) = entry.state { true } else { false }
        }
        var indexer = PayloadIndexer(building)
        var next = first
        var bytes = 0
        let end = building.reduce(UInt32.max) { end, entry in
            if case .building(_, let own) = entry.state { min(end, own) } else { end }
        }
        try transaction.withCursor(in: store.payloads) { cursor in
            var entry = try cursor.seek(first)
            while let (key, value) = entry, key.count == 4, next - first < Self.rowsPerStep,
                bytes < Self.payloadBytesPerStep
            {
                let slot = UInt32(bigEndian: key.loadUnaligned(as: UInt32.self))
                guard slot < end else { break }
                try indexer.add(PayloadRow(value, slot: slot).json, slot: slot)
                bytes += value.count
                next = slot + 1
                entry = try cursor.next()
            }
            // Slots without a payload are rows that a compaction left out.
            if entry == nil || next == first { next = end }
        }
        try indexer.batch.write(to: store, transaction)
        for entry in building {
            guard case .building(_, let end) = entry.state else { continue }
            catalog.set(next >= end ? .complete : .building(next: next, end: end), of: entry.number)
        }
    }

    /// Removes some entries; true when there are none left.
    private func removeEntries(of number: UInt16, _ transaction: borrowing WriteTransaction) throws -> Bool {
        var prefix: [UInt8] = []
        prefix.append(bigEndian: number)
        var count = 0
        for table in [store.postings, store.numbers] {
            try transaction.withCursor(in: table) { cursor in
                var entry = try cursor.seek(prefix)
                while count < Self.deletionsPerStep, let (key, _) = entry, key.starts(with: prefix) {
                    try cursor.deleteCurrent()
                    count += 1
                    entry = try cursor.next()
                }
            }
        }
        return count < Self.deletionsPerStep
    }
}

extension PayloadIndexCatalog {
    /// Where the index that is least far goes on.
    fileprivate var firstUnindexedRow: UInt32? {
        entries.compactMap { entry in
            if case .building(let next, _) = entry.state { next } else { nil }
        }.min()
    }
}
