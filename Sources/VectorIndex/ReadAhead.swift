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
/// Where memory is short a search would wait for the disk once for each row that it rescores or answers with; asked for
/// all of them at once, a disk reads them side by side. Where they are in memory already, asking only takes time. So the
/// uses are timed: one that waited lets the next one ask.
package final class ReadAhead: Sendable {
    /// Memory yields rows in a part of this time, a disk hardly one.
    private static func patience(rows: Int) -> Duration { .microseconds(40 + rows) }

    private static let pageBytes = UInt(sysconf(Int32(_SC_PAGESIZE)))

    private let isWaiting = Atomic<Bool>(false)

    package init() {}

    /// Runs `body`, which uses `count` rows; `rows` calls its argument with each of them.
    package func use<Result>(
        count: Int, _ rows: ((UnsafeRawBufferPointer) -> Void) -> Void, _ body: () throws -> Result
    ) rethrows -> Result {
        let start = ContinuousClock.now
        let asked = isWaiting.load(ordering: .relaxed)
        if asked { rows(Self.ask) }
        let result = try body()
        let waited = ContinuousClock.now - start > Self.patience(rows: count)
        if waited != asked { isWaiting.store(waited, ordering: .relaxed) }
        return result
    }

    private static func ask(for bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        let offset = UInt(bitPattern: base) & (pageBytes - 1)
        // A hint: nothing is lost when the kernel does not take it.
        _ = madvise(UnsafeMutableRawPointer(mutating: base - Int(offset)), bytes.count + Int(offset), MADV_WILLNEED)
    }
}
