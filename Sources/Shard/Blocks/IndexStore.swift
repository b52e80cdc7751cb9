internal import DataModel
internal import LMDB
internal import VectorIndex

/// The environment `index`: the graphs of a shard as of the last checkpoint. A view of `points`: whatever it lacks, or all
/// of it, can be built anew.
struct IndexStore: Sendable {
    let environment: Environment
    private let meta: Table
    let blocks: Table

    init(folder: String, options: ShardOptions, isReadOnly: Bool = false) throws {
        environment = try Environment.open(
            folder, options: .init(mapSizeBytes: options.indexMapBytes, syncsCommits: true, isReadOnly: isReadOnly))
        let tables = try environment.openTables(Format.IndexTable.all)
        (meta, blocks) = (tables[0], tables[1])
    }

    /// Rows of a space's graph, as of the last checkpoint.
    func storedRows(space: Int, _ transaction: borrowing ReadTransaction) throws -> UInt32 {
        try storedGraph(space, transaction)?.state.count ?? 0
    }

    private func storedGraph(_ space: Int, _ transaction: borrowing ReadTransaction) throws -> StoredGraph? {
        guard let bytes = try transaction.get(Self.metaKey(space), in: meta) else {
            // A checkpoint stores the graphs of all spaces.
            guard try transaction.count(of: meta) == 0, try transaction.count(of: blocks) == 0 else {
                throw ShardError.corrupted(reason: "the state of graph \(space) is missing")
            }
            return nil
        }
        return try StoredGraph(
            decoding: try Sealed.contents(of: bytes, at: UInt64(space), "the state of graph \(space)"))
    }

    /// Publishes the stored blocks of a space's graph, without reading them, and restores its state.
    func restore(_ graph: HNSWGraph, space: Int, _ transaction: borrowing ReadTransaction) throws {
        guard let stored = try storedGraph(space, transaction) else { return }
        if let codebook = stored.codebook { try graph.restore(codebook) }
        for column in GraphColumn.allCases {
            guard let target = graph.column(column) else { continue }
            let rows = column == .upperLinks ? stored.state.upperRows : stored.state.count
            try map(target, space: space, column: column, blocks: blockCount(Int(rows)), transaction)
        }
        try graph.restore(stored.state)
    }

    private func map(
        _ target: Column, space: Int, column: GraphColumn, blocks count: Int, _ transaction: borrowing ReadTransaction
    ) throws {
        try transaction.withCursor(in: blocks) { cursor in
            for number in 0..<count {
                let key = Format.indexBlockKey(space: space, column: column, block: number)
                guard let entry = try number == 0 ? cursor.seek(key) : cursor.next(), entry.key.elementsEqual(key) else {
                    throw ShardError.corrupted(reason: "block \(number) of column \(column), space \(space), is missing")
                }
                target.publish(try BlockValue.rows(of: entry.value, byteCount: target.blockBytes), asBlock: number)
            }
        }
    }

    /// Stores what changed in the graphs since the last checkpoint, in one transaction.
    ///
    /// - Parameter recall: by space, what is known of its recall; nil where it is stored already.
    func store(_ changes: [GraphChanges], recall: [RecallTable?]) throws {
        try environment.write { transaction in
            for change in changes {
                for block in change.blocks {
                    let rows = UnsafeRawBufferPointer(start: block.frozen.pointer, count: block.byteCount)
                    let key = Format.indexBlockKey(space: change.space, column: block.column, block: block.frozen.number)
                    try BlockValue.put(rows, at: key, in: blocks, transaction)
                }
                let stored = StoredGraph(state: change.state, codebook: change.codebook)
                let sealed = Sealed.bytes(stored.encoded(), at: UInt64(change.space))
                try transaction.put(sealed, at: Self.metaKey(change.space), in: meta)
            }
            for (space, table) in recall.enumerated() {
                guard let table else { continue }
                try transaction.put(Sealed.bytes(table.encoded()), at: Self.recallKey(space), in: meta)
            }
        }
    }

    /// The stored rows of a block that `changes` named.
    func rows(
        of block: GraphChanges.Block, space: Int, _ transaction: borrowing ReadTransaction
    ) throws -> UnsafeRawPointer {
        let key = Format.indexBlockKey(space: space, column: block.column, block: block.frozen.number)
        guard let value = try transaction.get(key, in: blocks) else {
            throw ShardError.corrupted(reason: "block \(block.frozen.number) of space \(space) was stored and is missing")
        }
        return try BlockValue.rows(of: value, byteCount: block.byteCount)
    }

    /// What was known of a space's recall at the last checkpoint. A table that cannot be read is an empty one: searches
    /// teach it anew, and nothing else depends on it.
    func recallTable(space: Int, _ transaction: borrowing ReadTransaction) throws -> RecallTable {
        guard let bytes = try transaction.get(Self.recallKey(space), in: meta) else { return RecallTable() }
        let contents = try? Sealed.contents(of: bytes, "the recall of graph \(space)")
        return contents.flatMap { try? RecallTable(decoding: $0) } ?? RecallTable()
    }

    private static func recallKey(_ space: Int) -> [UInt8] { metaKey(space) + Array("recall".utf8) }

    private static func metaKey(_ space: Int) -> [UInt8] {
        var key: [UInt8] = []
        key.append(bigEndian: UInt16(space))
        return key
    }

    private func blockCount(_ rows: Int) -> Int { (rows + Format.rowsPerBlock - 1) / Format.rowsPerBlock }
}

/// What a checkpoint writes of one graph.
struct GraphChanges {
    struct Block {
        let column: GraphColumn
        let frozen: DirtyBlock
        let byteCount: Int
    }

    let space: Int
    let state: HNSWGraph.State
    let codebook: BitCodebook?
    let blocks: [Block]

    /// Freezes what inserts changed since the last checkpoint. Inserts wait meanwhile: only pointers move.
    init(freezing graph: HNSWGraph, space: Int) {
        self.space = space
        (state, codebook, blocks) = graph.withInsertionsPaused {
            let blocks = GraphColumn.allCases.flatMap { column in
                guard let target = graph.column(column) else { return [Block]() }
                return target.freezeDirty().map { Block(column: column, frozen: $0, byteCount: target.blockBytes) }
            }
            return (graph.state, graph.bitCodebook, blocks)
        }
    }

    /// Gives the blocks back to the overlay after a checkpoint that failed.
    func thaw(_ graph: HNSWGraph) {
        for column in GraphColumn.allCases {
            graph.column(column)?.thaw(blocks.filter { $0.column == column }.map(\.frozen))
        }
    }
}

/// A graph's books in `meta`.
private struct StoredGraph: BinaryCodable {
    var state: HNSWGraph.State
    var codebook: BitCodebook?

    init(state: HNSWGraph.State, codebook: BitCodebook?) {
        self.state = state
        self.codebook = codebook
    }

    func encode(to writer: inout BinaryWriter) {
        writer.write(Format.version)
        writer.write(state.count)
        writer.write(state.entryPoint) { $0.write($1) }
        writer.write(UInt32(state.maximumLevel))
        writer.write(state.upperRows)
        writer.write(codebook) { writer, codebook in
            writer.write(codebook.centre)
            writer.write(codebook.seed)
            writer.write(codebook.trainedRows)
        }
    }

    init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let version = try reader.readInteger(as: UInt32.self)
        guard version == Format.version else {
            throw BinaryFormatError(description: "index format \(version), and this server reads \(Format.version)")
        }
        state = HNSWGraph.State(
            count: try reader.readInteger(),
            entryPoint: try reader.readOptional { (reader) throws(BinaryFormatError) in try reader.readInteger() },
            maximumLevel: Int(try reader.readInteger(as: UInt32.self)),
            upperRows: try reader.readInteger())
        codebook = try reader.readOptional { (reader) throws(BinaryFormatError) in
            BitCodebook(
                centre: try reader.readFloats(), seed: try reader.readInteger(), trainedRows: try reader.readInteger())
        }
    }
}

extension HNSWGraph {
    /// Nil for codes where there are none.
    func column(_ column: GraphColumn) -> Column? {
        switch column {
        case .levelZeroLinks: levelZeroLinks
        case .nodes: nodes
        case .upperLinks: upperLinks
        case .codes: codeColumn
        }
    }
}
