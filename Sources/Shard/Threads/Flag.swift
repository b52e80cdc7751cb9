internal import Synchronization

/// A flag that threads raise and lower.
final class Flag: Sendable {
    private let isRaised = Atomic<Bool>(false)

    /// - Returns: false when it was raised already.
    func raise() -> Bool { !isRaised.exchange(true, ordering: .sequentiallyConsistent) }

    func lower() { isRaised.store(false, ordering: .sequentiallyConsistent) }
}
