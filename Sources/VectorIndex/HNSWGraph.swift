internal import CKernels
package import DataModel
internal import Synchronization

/// The HNSW graph of one vector space in one replica.
///
/// Y. A. Malkov, D. A. Yashunin: Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
/// Small World graphs, 2018; "Algorithm n" in this module is the paper's.
///
/// Any number of threads insert and search at once. A row's links change under one of `linkLocks`; readers take no
/// lock, because link words are atomic and a neighbour list in the middle of a change is still a list of neighbours.
package final class HNSWGraph: @unchecked Sendable {
    // Sendable: immutable but for the columns and pools, which are Sendable, and the atomics.
    package struct Parameters: Sendable, Equatable {
        /// Links of a row in an upper layer; layer 0 has room for twice as many.
        package var m: Int
        /// Size of the candidate list while inserting.
        package var efConstruct: Int
        /// Decides the rows' levels. Replicas with the same seed and rows give each row the same level.
        package var seed: UInt64

        package init(m: Int = 16, efConstruct: Int = 128, seed: UInt64 = 0) {
            self.m = m
            self.efConstruct = efConstruct
            self.seed = seed
        }
    }

    /// What the columns do not say; persisted with them.
    package struct State: Sendable, Equatable {
        /// Rows `0 ..< count` are in the graph.
        package var count: UInt32
        /// The row where searches begin; nil when the graph is empty.
        package var entryPoint: Slot?
        /// The entry point's level, which is the highest.
        package var maximumLevel: Int
        /// Rows in use of `upperLinks`.
        package var upperRows: UInt32

        package init(count: UInt32, entryPoint: Slot?, maximumLevel: Int, upperRows: UInt32) {
            self.count = count
            self.entryPoint = entryPoint
            self.maximumLevel = maximumLevel
            self.upperRows = upperRows
        }

        package static let empty = State(count: 0, entryPoint: nil, maximumLevel: 0, upperRows: 0)
    }

    package let parameters: Parameters
    /// Filled by the owner before a row is inserted.
    package let raw: RawRows
    /// Which codes the walk compares; `none` for metrics that have no codes.
    package let quantization: Quantization
    let currentCodes: Mutex<CodeRows?>
    /// Rows of `2 * m` link words: slot + 1 of each neighbour, 0 behind the last.
    package let levelZeroLinks: Column
    /// Rows of two words: the row's level, and the number of its first row in `upperLinks`, that of level 1.
    package let nodes: Column
    /// Rows of `m` link words; those of one point's levels 1, 2, ... follow each other.
    package let upperLinks: Column

    /// Levels above this would need more than 2^64 rows even with the smallest `m`; data that claims them is damaged.
    static let highestLevel = 31

    let gate = InsertionGate()
    /// `level << 32 | slot + 1` of the entry point; 0 when there is none.
    let entry = Atomic<UInt64>(0)
    let upperRowCount = Atomic<UInt32>(0)
    let adoptedRows = Atomic<UInt64>(0)
    /// Held while a row is inserted that becomes the entry point.
    let promotion = Mutex(())
    let linkLocks = StripedLocks()
    let scratches = ScratchPool()
    let rescoring = ReadAhead()
    let walking = ReadAhead(ofWalks: ())
    let view: GraphView
    let rawComparison: Comparison

    /// - Throws: `reservationFailed`.
    package init(
        parameters: Parameters, raw: RawRows, quantization: Quantization, maximumRows: Int
    ) throws(VectorIndexError) {
        precondition(parameters.m >= 3 && parameters.efConstruct >= 1)
        precondition(maximumRows <= Int(UInt32.max) - 1, "slot + 1 is a UInt32")
        self.parameters = parameters
        self.raw = raw
        // Sums of differences do not come from products of codes.
        self.quantization = Metric(raw.distance) == .manhattan ? .none : quantization
        let codes =
            self.quantization == .scalar ? try CodeRows(.scalar, raw: raw, maximumRows: maximumRows) : nil
        currentCodes = Mutex(codes)
        rawComparison = raw.comparison
        levelZeroLinks = try Column(rowBytes: parameters.m * 2 * 4, maximumRows: maximumRows)
        nodes = try Column(rowBytes: 8, maximumRows: maximumRows)
        // A row has 1 / (m - 1) upper layers on average, at most 0.5: this never fills up, and address space is free.
        upperLinks = try Column(rowBytes: parameters.m * 4, maximumRows: maximumRows + HNSWGraph.highestLevel)
        view = GraphView(levelZero: levelZeroLinks, nodes: nodes, upper: upperLinks, m: parameters.m)
    }

    /// The number of rows that are in the graph for certain: `0 ..< count`.
    package var count: UInt32 { gate.finished.load(ordering: .acquiring) }

    /// The next row to be inserted: those before it are in the graph or on their way.
    package var claimedCount: UInt32 { gate.claimed.load(ordering: .acquiring) }

    /// Consistent with the columns while no insertion runs.
    package var state: State {
        let entry = EntryPoint(rawValue: self.entry.load(ordering: .acquiring))
        return State(
            count: count, entryPoint: entry?.slot, maximumLevel: entry?.level ?? 0,
            upperRows: upperRowCount.load(ordering: .acquiring))
    }

    /// Goes on from a state that was saved, after the blocks of all columns were published, before any other use.
    ///
    /// Link words are not checked: searches skip what leads nowhere.
    /// - Throws: `damaged` when the state contradicts itself or a block is missing.
    package func restore(_ state: State) throws(VectorIndexError) {
        guard Int(state.count) <= nodes.maximumRows, Int(state.upperRows) <= upperLinks.maximumRows else {
            throw .damaged(reason: "\(state.count) rows and \(state.upperRows) upper rows are more than allowed")
        }
        guard (state.count == 0) == (state.entryPoint == nil), state.entryPoint.map({ $0 < state.count }) ?? true,
            (0...Self.highestLevel).contains(state.maximumLevel)
        else { throw .damaged(reason: "the entry point does not fit \(state.count) rows") }
        guard quantization == .none || state.count == 0 || codes != nil else {
            throw .damaged(reason: "\(state.count) rows have no codes")
        }
        var columns = [
            ("vectors", raw.column, state.count), ("level-0 links", levelZeroLinks, state.count),
            ("nodes", nodes, state.count), ("upper links", upperLinks, state.upperRows),
        ]
        if let codeColumn { columns.append(("codes", codeColumn, state.count)) }
        for (name, column, rows) in columns {
            for number in 0..<(Int(rows) + Column.rowsPerBlock - 1) / Column.rowsPerBlock
            where number >= column.maximumBlocks || column.block(number) == nil {
                throw .damaged(reason: "block \(number) of the \(name) is missing")
            }
        }
        upperRowCount.store(state.upperRows, ordering: .releasing)
        gate.restore(count: state.count)
        let point = state.entryPoint.map { EntryPoint(slot: $0, level: state.maximumLevel) }
        entry.store(point?.rawValue ?? 0, ordering: .releasing)
    }

    /// Waits for the insertions that run, holds up new ones, and runs `body`: the time to save a consistent graph.
    package func withInsertionsPaused<R>(_ body: () throws -> R) rethrows -> R {
        try gate.whilePaused(body)
    }
}

/// Where searches begin, in one word, so that it changes at once.
struct EntryPoint {
    let slot: Slot
    let level: Int

    init(slot: Slot, level: Int) {
        self.slot = slot
        self.level = level
    }

    init?(rawValue: UInt64) {
        guard rawValue != 0 else { return nil }
        slot = UInt32(truncatingIfNeeded: rawValue) &- 1
        level = Int(rawValue >> 32)
    }

    var rawValue: UInt64 { UInt64(level) << 32 | UInt64(slot + 1) }
}
