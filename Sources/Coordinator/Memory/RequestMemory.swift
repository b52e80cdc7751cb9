package import DataModel
import Synchronization

/// What one request has of a node's memory budget; given back when the request ends.
package final class RequestMemory: Sendable {
    /// The request that the present task works on; nil where nobody keeps books, as in tests.
    @TaskLocal package static var current: RequestMemory?

    /// simdjson's buffers take about twelve times the text, when it is as dense as can be.
    package static let parsingFactor = 12
    /// What is decoded from a text, and the copies of it that go to other nodes: vectors of one digit a component are
    /// twice as large as their text.
    package static let decodedFactor = 3

    private struct State {
        /// All that the request has.
        var held = 0
        /// The part of it that counts as arrived.
        var arrived = 0
        /// What shards' answers take, and how much of that was taken beforehand.
        var answers = 0
        var expectedAnswers = 0
        var isOver = false
    }

    private let budget: MemoryBudget
    private let state = Mutex(State())

    package init(_ budget: MemoryBudget) { self.budget = budget }

    deinit { end() }

    /// In bytes.
    package var largestBody: Int { budget.largestBody }

    // MARK: - The body

    /// Takes room for so many more bytes of the body, before they are read.
    ///
    /// - Throws: `overloaded`.
    package func arrive(_ bytes: Int, deadline: Deadline) async throws(DatabaseError) {
        try await budget.take(bytes, for: .arrival, deadline: deadline)
        hold(bytes, arrived: bytes)
    }

    /// Takes room for parsing a body that has arrived. `parsed` follows.
    ///
    /// - Throws: `overloaded`.
    package func parse(_ bytes: Int, deadline: Deadline) async throws(DatabaseError) {
        try await budget.take(bytes * Self.parsingFactor, for: .progress, deadline: deadline)
        hold(bytes * Self.parsingFactor, arrived: 0)
        let arrived = state.withLock { state in
            defer { state.arrived = 0 }
            return state.arrived
        }
        budget.goOn(arrived)
    }

    /// Keeps what is left of a body when it is parsed.
    package func parsed(_ bytes: Int) {
        let surplus = state.withLock { state in
            let surplus = min(state.held, bytes * (Self.parsingFactor + 1 - Self.decodedFactor))
            state.held -= surplus
            return surplus
        }
        budget.give(surplus, arrived: 0)
    }

    // MARK: - The answer

    /// Takes room for the answers of all shards, as far as it can be known before.
    ///
    /// - Throws: `overloaded`.
    func expectAnswers(_ bytes: Int, deadline: Deadline) async throws(DatabaseError) {
        let bytes = min(bytes, budget.capacity / 64)
        try await budget.take(bytes, for: .progress, deadline: deadline)
        hold(bytes, arrived: 0)
        state.withLock { $0.expectedAnswers += bytes }
    }

    /// A shard has answered.
    ///
    /// - Throws: `invalid` when the whole answer takes more than one request may, `overloaded`.
    func answered(_ bytes: Int, deadline: Deadline) async throws(DatabaseError) {
        let (answers, more) = state.withLock { state in
            state.answers += bytes
            let more = max(state.answers - state.expectedAnswers, 0)
            state.expectedAnswers += more
            return (state.answers, more)
        }
        guard answers <= budget.largestAnswer else {
            throw .invalid(
                reason: "limit: the answer takes more than \(budget.largestAnswer) bytes, half of http.maxMemory; ask for "
                    + "fewer points at once, or without vectors")
        }
        guard more > 0 else { return }
        try await budget.take(more, for: .progress, deadline: deadline)
        hold(more, arrived: 0)
    }

    // MARK: - The end

    /// Gives all back.
    package func end() {
        let (held, arrived) = state.withLock { state in
            defer {
                state.held = 0
                state.arrived = 0
                state.isOver = true
            }
            return (state.held, state.arrived)
        }
        if held > 0 { budget.give(held, arrived: arrived) }
    }

    private func hold(_ bytes: Int, arrived: Int) {
        let isOver = state.withLock { state in
            guard !state.isOver else { return true }
            state.held += bytes
            state.arrived += arrived
            return false
        }
        // What was granted in the moment of the end.
        if isOver { budget.give(bytes, arrived: arrived) }
    }
}

extension Record {
    /// The bytes that the record takes until it is sent: in memory, and as JSON text, of which each component of a vector
    /// takes about ten characters and the buffer as much again as it grows.
    var estimatedFootprint: Int {
        let components = vectors?.entries.reduce(0) { $0 + $1.values.count } ?? 0
        return Self.baseFootprint + (payload?.json.count ?? 0) * 3 + components * Self.componentFootprint
    }

    static let baseFootprint = 128
    static let componentFootprint = 24
    /// Before the answer is there.
    static let expectedPayloadFootprint = 1_024
}

extension [Record] {
    var footprint: Int { reduce(0) { $0 + $1.estimatedFootprint } }
}

extension [ScoredPoint] {
    var footprint: Int { reduce(0) { $0 + $1.record.estimatedFootprint } }
}

extension CollectionConfig {
    /// The bytes to expect of a record with what is selected, see `Record.estimatedFootprint`.
    func expectedFootprint(withPayload: Bool, withVectors: VectorSelector) -> Int {
        let components =
            switch withVectors {
            case .none: 0
            case .all: spaces.reduce(0) { $0 + $1.dimension }
            case .named(let names): spaces.reduce(0) { $0 + (names.contains($1.name) ? $1.dimension : 0) }
            }
        return Record.baseFootprint + (withPayload ? Record.expectedPayloadFootprint : 0)
            + components * Record.componentFootprint
    }
}
