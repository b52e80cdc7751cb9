import DataModel

/// Writes that are committed on the primary and wait for the in-sync backups.
struct PendingWrites: Sendable {
    private struct Entry {
        let sequence: SequenceNumber
        let deadline: Duration
    }

    /// By a key of their own, since two waits never share one and sequences may be awaited twice.
    private var entries: [UInt64: Entry] = [:]

    var isEmpty: Bool { entries.isEmpty }

    mutating func add(_ sequence: SequenceNumber, deadline: Duration, key: UInt64) {
        entries[key] = Entry(sequence: sequence, deadline: deadline)
    }

    mutating func acknowledge(through sequence: SequenceNumber) -> [UInt64] {
        remove { $0.sequence <= sequence }
    }

    mutating func removeAll() -> [UInt64] { remove { _ in true } }

    mutating func removeOverdue(now: Duration) -> [UInt64] { remove { $0.deadline <= now } }

    mutating func remove(key: UInt64) { entries[key] = nil }

    /// In order of the keys.
    private mutating func remove(where predicate: (Entry) -> Bool) -> [UInt64] {
        let keys = entries.filter { predicate($0.value) }.map(\.key).sorted()
        for key in keys { entries[key] = nil }
        return keys
    }
}
