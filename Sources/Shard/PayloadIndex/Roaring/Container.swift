/// The rows of one chunk of 65,536 slots, by the low 16 bits of their slots.
///
/// S. Chambi, D. Lemire, O. Kaser, R. Godin: Better bitmap performance with Roaring bitmaps, 2016. In memory there are
/// two kinds of containers; the third, runs, only exists on disk (`ContainerValue`), where a container is rewritten by
/// each commit that touches it and its size counts.
package enum Container: Sendable {
    /// Ascending, each once; at most `arrayLimit`.
    case array([UInt16])
    /// `wordCount` words, bit `n & 63` of word `n >> 6` for row `n`, and the number of bits set.
    case bits([UInt64], count: Int)

    package static let rows = 65_536
    package static let wordCount = rows / 64
    /// With more rows than this an array is larger than the bits.
    package static let arrayLimit = 4_096

    package static let empty = Container.array([])

    package var count: Int {
        switch self {
        case .array(let values): values.count
        case .bits(_, let count): count
        }
    }

    /// The smaller kind for the bits.
    package init(words: [UInt64]) {
        precondition(words.count == Self.wordCount)
        let count = words.reduce(0) { $0 + $1.nonzeroBitCount }
        guard count <= Self.arrayLimit else {
            self = .bits(words, count: count)
            return
        }
        var values: [UInt16] = []
        values.reserveCapacity(count)
        Self.forEachBit(words) { values.append($0) }
        self = .array(values)
    }

    /// - Parameter values: ascending, each once.
    package init(ascending values: [UInt16]) {
        self = values.count <= Self.arrayLimit ? .array(values) : Container(words: Self.words(of: values))
    }

    /// The first `count` rows of the chunk.
    package init(prefix count: Int) {
        precondition((0...Self.rows).contains(count))
        var words = [UInt64](repeating: 0, count: Self.wordCount)
        for index in 0..<count / 64 { words[index] = .max }
        if count % 64 != 0 { words[count / 64] = 1 << UInt64(count % 64) - 1 }
        self.init(words: words)
    }

    package var words: [UInt64] {
        switch self {
        case .array(let values): Self.words(of: values)
        case .bits(let words, _): words
        }
    }

    package func contains(_ value: UInt16) -> Bool {
        switch self {
        case .array(let values):
            let index = values.partitioningIndex { $0 >= value }
            return index < values.count && values[index] == value
        case .bits(let words, _):
            return words[Int(value >> 6)] >> UInt64(value & 63) & 1 != 0
        }
    }

    /// Calls `body` with each row, ascending.
    @inline(__always)
    package func forEach(_ body: (UInt16) throws -> Void) rethrows {
        switch self {
        case .array(let values): for value in values { try body(value) }
        case .bits(let words, _): try Self.forEachBit(words, body)
        }
    }

    private static func words(of values: [UInt16]) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: wordCount)
        for value in values { words[Int(value >> 6)] |= 1 << UInt64(value & 63) }
        return words
    }

    @inline(__always)
    private static func forEachBit(_ words: [UInt64], _ body: (UInt16) throws -> Void) rethrows {
        for index in words.indices {
            var word = words[index]
            while word != 0 {
                try body(UInt16(index << 6 | word.trailingZeroBitCount))
                word &= word &- 1
            }
        }
    }
}

extension Container: Equatable {
    /// Equal rows; the kind follows from them.
    package static func == (lhs: Self, rhs: Self) -> Bool {
        switch (lhs, rhs) {
        case (.array(let a), .array(let b)): a == b
        case (.bits(let a, let n), .bits(let b, let m)): n == m && a == b
        default: false
        }
    }
}

extension Array {
    /// The first index whose element `isSecond`, in an array that has all such elements behind the others.
    ///
    /// - Complexity: O(log n).
    func partitioningIndex(where isSecond: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isSecond(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
