internal import Synchronization

/// The memory of one search or insertion, kept for the next one, so that neither allocates.
struct Scratch {
    /// One bit for each row that was met. All clear between uses.
    private(set) var visited: UnsafeMutablePointer<UInt64>
    private var visitedWords: Int
    /// The rows whose bits are set, in the order in which they were met.
    private(set) var met: UnsafeMutablePointer<Slot>
    /// The distance of each row of `met`.
    private(set) var distances: UnsafeMutablePointer<Float>
    var metCount = 0
    private var metCapacity: Int
    /// Rows whose bits are set although they are not compared: a filter excludes them.
    private(set) var excluded: UnsafeMutablePointer<Slot>
    var excludedCount = 0
    private var excludedCapacity: Int
    /// Rows to expand, nearest first.
    var candidates = KeyHeap(capacity: 1_024)
    /// The best rows, farthest first: keys are inverted.
    var results = KeyHeap(capacity: 1_024)

    init() {
        visitedWords = 1
        visited = .allocate(capacity: 1)
        visited.initialize(to: 0)
        metCapacity = 4_096
        met = .allocate(capacity: metCapacity)
        distances = .allocate(capacity: metCapacity)
        excludedCapacity = 4_096
        excluded = .allocate(capacity: excludedCapacity)
    }

    func destroy() {
        visited.deallocate()
        met.deallocate()
        distances.deallocate()
        excluded.deallocate()
        candidates.destroy()
        results.destroy()
    }

    /// Makes the visited set large enough for rows `0 ..< bound`.
    mutating func prepare(bound: UInt32) {
        let words = (Int(bound) + 63) / 64
        guard words > visitedWords else { return }
        visited.deallocate()
        // A graph that grows by single rows must not come here for each.
        visitedWords = words + words / 2
        visited = .allocate(capacity: visitedWords)
        visited.initialize(repeating: 0, count: visitedWords)
    }

    /// Makes room for `additional` more rows in `met`.
    @inline(__always)
    mutating func reserveMet(_ additional: Int) {
        if metCount &+ additional > metCapacity { growMet(by: additional) }
    }

    @inline(never)
    private mutating func growMet(by additional: Int) {
        metCapacity = max(metCapacity * 2, metCount + additional)
        let grownMet = UnsafeMutablePointer<Slot>.allocate(capacity: metCapacity)
        let grownDistances = UnsafeMutablePointer<Float>.allocate(capacity: metCapacity)
        grownMet.moveInitialize(from: met, count: metCount)
        grownDistances.moveInitialize(from: distances, count: metCount)
        met.deallocate()
        distances.deallocate()
        met = grownMet
        distances = grownDistances
    }

    /// Makes room for `additional` more rows in `excluded`.
    @inline(__always)
    mutating func reserveExcluded(_ additional: Int) {
        if excludedCount &+ additional > excludedCapacity { growExcluded(by: additional) }
    }

    @inline(never)
    private mutating func growExcluded(by additional: Int) {
        excludedCapacity = max(excludedCapacity * 2, excludedCount + additional)
        let grown = UnsafeMutablePointer<Slot>.allocate(capacity: excludedCapacity)
        grown.moveInitialize(from: excluded, count: excludedCount)
        excluded.deallocate()
        excluded = grown
    }

    /// Sets the row's bit; false when it was set already. A row whose bit was not set goes into `met` or `excluded`.
    @inline(__always)
    func visit(_ slot: Slot) -> Bool {
        let bit: UInt64 = 1 << UInt64(slot & 63)
        let bits = visited[Int(slot >> 6)]
        visited[Int(slot >> 6)] = bits | bit
        return bits & bit == 0
    }

    /// Forgets which rows were met.
    mutating func clearVisited() {
        for index in 0..<metCount { visited[Int(met[index] >> 6)] = 0 }
        for index in 0..<excludedCount { visited[Int(excluded[index] >> 6)] = 0 }
        metCount = 0
        excludedCount = 0
    }
}

/// Scratches that nobody uses at the moment; as many as were ever used at once.
final class ScratchPool: @unchecked Sendable {
    // Sendable: the list is guarded by the mutex, and a scratch belongs to whoever took it.
    private struct Idle: @unchecked Sendable {
        // Sendable: guarded by the mutex that it lives in.
        var scratches: [UnsafeMutablePointer<Scratch>] = []
    }

    private let idle = Mutex(Idle())

    deinit {
        idle.withLock { idle in
            for scratch in idle.scratches {
                scratch.pointee.destroy()
                scratch.deinitialize(count: 1)
                scratch.deallocate()
            }
        }
    }

    @inline(__always)
    func withScratch<R>(bound: UInt32, _ body: (inout Scratch) -> R) -> R {
        let scratch = take()
        scratch.pointee.prepare(bound: bound)
        defer { put(scratch) }
        return body(&scratch.pointee)
    }

    private func take() -> UnsafeMutablePointer<Scratch> {
        let address = idle.withLock { idle in UInt(bitPattern: idle.scratches.popLast()) }
        if let scratch = UnsafeMutablePointer<Scratch>(bitPattern: address) { return scratch }
        let scratch = UnsafeMutablePointer<Scratch>.allocate(capacity: 1)
        scratch.initialize(to: Scratch())
        return scratch
    }

    private func put(_ scratch: UnsafeMutablePointer<Scratch>) {
        scratch.pointee.clearVisited()
        let address = UInt(bitPattern: scratch)
        idle.withLock { idle in
            if let scratch = UnsafeMutablePointer<Scratch>(bitPattern: address) { idle.scratches.append(scratch) }
        }
    }
}
