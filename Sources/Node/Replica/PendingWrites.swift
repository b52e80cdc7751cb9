import DataModel
import Synchronization

/// Writes that are committed here and wait for the in-sync backups.
///
/// Not safe for concurrent use: lives under its shell's lock, which is why the methods return what to resume.
struct PendingWrites {
    typealias Waiter = CheckedContinuation<Result<Void, ShardError>, Never>

    private struct Entry {
        let sequence: SequenceNumber
        let deadline: Deadline
        let waiter: Waiter
    }

    /// By a key of their own, since two waits never share one and sequences may be awaited twice.
    private var entries: [UInt64: Entry] = [:]
    /// Every in-sync replica has everything up to here.
    private(set) var acknowledged = SequenceNumber.zero

    var isEmpty: Bool { entries.isEmpty }

    /// - Returns: false when the write is acknowledged already, so that there is nothing to wait for.
    mutating func add(_ sequence: SequenceNumber, deadline: Deadline, key: UInt64, waiter: Waiter) -> Bool {
        guard sequence > acknowledged else { return false }
        entries[key] = Entry(sequence: sequence, deadline: deadline, waiter: waiter)
        return true
    }

    mutating func acknowledge(through sequence: SequenceNumber) -> [Waiter] {
        acknowledged = max(acknowledged, sequence)
        return remove { $0.sequence <= sequence }
    }

    mutating func removeAll() -> [Waiter] { remove { _ in true } }

    mutating func removeOverdue() -> [Waiter] { remove { $0.deadline.isPast } }

    mutating func remove(key: UInt64) -> Waiter? { entries.removeValue(forKey: key)?.waiter }

    private mutating func remove(where predicate: (Entry) -> Bool) -> [Waiter] {
        let keys = entries.filter { predicate($0.value) }.map(\.key)
        return keys.compactMap { entries.removeValue(forKey: $0)?.waiter }
    }
}
