internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Decides whether rows of a mapped file are asked for before they are used.
///
/// Where files are not in memory, after a start or for good, a search would wait for the disk once for each row that it
/// touches; asked for many at once, a disk reads them side by side. Where they are in memory, asking only takes time. So
/// the uses are timed: one that waited lets the next one ask.
package final class ReadAhead: Sendable {
    /// What a use takes at most when nothing waits, although it asks.
    private let patience: Duration
    private let patiencePerRow: Duration
    private let isWaiting: Atomic<Bool>

    private static let pageBytes = UInt(sysconf(Int32(_SC_PAGESIZE)))

    /// For uses of rows that were found: a dozen or a hundred, all known beforehand.
    package init() {
        (patience, patiencePerRow) = (.microseconds(40), .microseconds(1))
        isWaiting = Atomic(false)
    }

    /// For walks, which ask for two pages a row. The first one after a start expects nothing to be in memory.
    init(ofWalks: Void) {
        (patience, patiencePerRow) = (.microseconds(200), .microseconds(4))
        isWaiting = Atomic(true)
    }

    /// Runs `body`, which uses `count` rows; `rows` calls its argument with each of them.
    package func use<Result>(
        count: Int, _ rows: ((UnsafeRawPointer?, Int) -> Void) -> Void, _ body: () throws -> Result
    ) rethrows -> Result {
        try use { asks in
            if asks { rows(Self.ask(for:byteCount:)) }
            return (try body(), count)
        }
    }

    /// Runs `body`, which is told whether to ask for rows and returns how many it used.
    func use<Result>(_ body: (Bool) throws -> (Result, rows: Int)) rethrows -> Result {
        let start = ContinuousClock.now
        let asks = isWaiting.load(ordering: .relaxed)
        let (result, rows) = try body(asks)
        let waited = ContinuousClock.now - start > patience + patiencePerRow * rows
        if waited != asks { isWaiting.store(waited, ordering: .relaxed) }
        return result
    }

    /// Asks the kernel for the pages of the bytes, without waiting for them.
    package static func ask(for base: UnsafeRawPointer?, byteCount: Int) {
        guard let base else { return }
        let offset = UInt(bitPattern: base) & (pageBytes - 1)
        // A hint: nothing is lost when the kernel does not take it.
        _ = madvise(UnsafeMutableRawPointer(mutating: base - Int(offset)), byteCount + Int(offset), MADV_WILLNEED)
    }
}
