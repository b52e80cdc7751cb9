/// A row and its distance in one integer whose order is the order of distances: one comparison suffices.
///
/// Equally near rows order by `slot ^ salt`. Searches take 0. Insertions take a salt of their own each: were the order
/// the same for all, the links of many equal vectors would all lead to the same few of them, and the others be lost.
struct Candidate: Comparable {
    let key: UInt64

    @inline(__always)
    init(key: UInt64) { self.key = key }

    @inline(__always)
    init(slot: Slot, distance: Float, salt: UInt32) {
        // IEEE floats order like sign-magnitude integers; this makes them order like unsigned ones.
        let bits = distance.bitPattern
        let flip = UInt32(bitPattern: Int32(bitPattern: bits) >> 31) | 0x8000_0000
        key = UInt64(bits ^ flip) << 32 | UInt64(slot ^ salt)
    }

    @inline(__always)
    func slot(salt: UInt32) -> Slot { UInt32(truncatingIfNeeded: key) ^ salt }

    @inline(__always)
    var distance: Float {
        let ordered = UInt32(truncatingIfNeeded: key >> 32)
        return Float(bitPattern: ordered & 0x8000_0000 != 0 ? ordered ^ 0x8000_0000 : ~ordered)
    }

    @inline(__always)
    static func < (lhs: Candidate, rhs: Candidate) -> Bool { lhs.key < rhs.key }
}

/// A binary heap of 64-bit keys, the smallest first, on memory of its own. `destroy` frees it.
struct KeyHeap {
    private(set) var keys: UnsafeMutablePointer<UInt64>
    private(set) var count = 0
    private(set) var capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        keys = .allocate(capacity: capacity)
    }

    func destroy() { keys.deallocate() }

    @inline(__always)
    mutating func removeAll() { count = 0 }

    /// Makes room for `additional` more keys, which `push` needs.
    @inline(__always)
    mutating func reserve(_ additional: Int) {
        if count &+ additional > capacity { grow(to: max(capacity * 2, count + additional)) }
    }

    @inline(never)
    private mutating func grow(to newCapacity: Int) {
        let grown = UnsafeMutablePointer<UInt64>.allocate(capacity: newCapacity)
        grown.moveInitialize(from: keys, count: count)
        keys.deallocate()
        keys = grown
        capacity = newCapacity
    }

    /// The smallest key. The heap is not empty.
    @inline(__always)
    var first: UInt64 { keys[0] }

    /// - Precondition: there is room (`reserve`).
    @inline(__always)
    mutating func push(_ key: UInt64) {
        var hole = count
        count &+= 1
        while hole > 0 {
            let parent = (hole &- 1) >> 1
            if keys[parent] <= key { break }
            keys[hole] = keys[parent]
            hole = parent
        }
        keys[hole] = key
    }

    /// Removes the smallest key. The heap is not empty.
    @inline(__always)
    mutating func pop() -> UInt64 {
        let first = keys[0]
        count &-= 1
        if count > 0 { sink(keys[count]) }
        return first
    }

    /// Replaces the smallest key.
    @inline(__always)
    mutating func replaceFirst(with key: UInt64) { sink(key) }

    /// Puts `key` into the hole at the root.
    @inline(__always)
    private mutating func sink(_ key: UInt64) {
        var hole = 0
        while true {
            var child = hole &* 2 &+ 1
            if child >= count { break }
            if child &+ 1 < count { child &+= keys[child &+ 1] < keys[child] ? 1 : 0 }
            if key <= keys[child] { break }
            keys[hole] = keys[child]
            hole = child
        }
        keys[hole] = key
    }
}
