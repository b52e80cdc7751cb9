internal import DataModel
internal import Synchronization

/// What the payload indexes said of conditions that searches ask for again and again.
///
/// A row's payload never changes and its slot is never reused, so what is known of a row stays true as long as the
/// generation lives, whatever is written meanwhile. Of later rows nothing is known: their payloads decide.
final class FilterCache: Sendable {
    private struct Entry {
        let condition: FilterCondition
        let config: PayloadIndexConfig
        let bounds: RowBounds
        /// The bounds tell of all rows before this one.
        let slotCount: UInt32
        var lastUse: UInt64
    }

    private struct State {
        var entries: [Entry] = []
        var uses: UInt64 = 0
    }

    /// Each takes a quarter of a byte a row at most: two bits, for what is certain and what is possible.
    private static let capacity = 32
    /// Sets of fewer rows are read quickly, and there may be as many of them as there are values.
    private static let fewestRows = 128
    /// More rows than this that nothing is known of, and the condition is computed anew.
    private static let openRows: UInt32 = 48

    private let state = Mutex(State())

    /// The rows below `slotCount` that the condition holds for, by the index of `config`.
    ///
    /// - Parameter compute: asks the index; nil when it does not know such conditions.
    func bounds(
        of condition: FilterCondition, _ config: PayloadIndexConfig, slotCount: UInt32,
        compute: () throws -> RowBounds?
    ) rethrows -> RowBounds? {
        if let known = bounds(of: condition, config, slotCount: slotCount) { return known }
        let bounds = try compute()
        if let bounds, bounds.possible.count >= Self.fewestRows {
            keep(Entry(condition: condition, config: config, bounds: bounds, slotCount: slotCount, lastUse: 0))
        }
        return bounds
    }

    private func bounds(
        of condition: FilterCondition, _ config: PayloadIndexConfig, slotCount: UInt32
    ) -> RowBounds? {
        let found: Entry? = state.withLock { state in
            state.uses += 1
            let index = state.entries.firstIndex { $0.condition == condition && $0.config == config }
            guard let index else { return nil }
            state.entries[index].lastUse = state.uses
            return state.entries[index]
        }
        guard let found else { return nil }
        if slotCount <= found.slotCount { return found.bounds }
        guard slotCount - found.slotCount <= Self.openRows else { return nil }
        return found.bounds.withOpen(RowBitmap(found.slotCount..<slotCount))
    }

    private func keep(_ entry: Entry) {
        state.withLock { state in
            var entry = entry
            state.uses += 1
            entry.lastUse = state.uses
            state.entries.removeAll { $0.condition == entry.condition && $0.config == entry.config }
            if state.entries.count == Self.capacity,
                let oldest = state.entries.indices.min(by: { state.entries[$0].lastUse < state.entries[$1].lastUse })
            {
                state.entries.remove(at: oldest)
            }
            state.entries.append(entry)
        }
    }
}
