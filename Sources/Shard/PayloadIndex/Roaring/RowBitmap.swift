/// A set of slots: one container for each chunk of 65,536 that has any.
package struct RowBitmap: Sendable, Equatable {
    package struct Chunk: Sendable, Equatable {
        /// The slots' high 16 bits.
        package var number: UInt16
        /// Not empty.
        package var container: Container
    }

    /// In order of numbers.
    package private(set) var chunks: [Chunk]

    package init() { chunks = [] }

    /// Slots `0 ..< count`.
    package init(prefix count: UInt32) {
        chunks = []
        var first = 0
        while first < Int(count) {
            let rows = min(Int(count) - first, Container.rows)
            append(Container(prefix: rows), number: UInt16(first / Container.rows))
            first += rows
        }
    }

    package init(_ slots: some Sequence<UInt32>) {
        var builder = Builder()
        for slot in slots { builder.insert(slot) }
        self = builder.finished()
    }

    /// - Parameter words: bit `slot & 63` of word `slot >> 6` for each slot; whole chunks.
    package init(words: [UInt64]) {
        precondition(words.count % Container.wordCount == 0)
        chunks = []
        for number in 0..<words.count / Container.wordCount {
            let first = number * Container.wordCount
            append(Container(words: Array(words[first..<first + Container.wordCount])), number: UInt16(number))
        }
    }

    package var count: Int { chunks.reduce(0) { $0 + $1.container.count } }
    package var isEmpty: Bool { chunks.isEmpty }

    package func contains(_ slot: UInt32) -> Bool {
        let number = UInt16(slot >> 16)
        let index = chunks.partitioningIndex { $0.number >= number }
        guard index < chunks.count, chunks[index].number == number else { return false }
        return chunks[index].container.contains(UInt16(truncatingIfNeeded: slot))
    }

    /// Calls `body` with each slot, ascending.
    @inline(__always)
    package func forEach(_ body: (UInt32) throws -> Void) rethrows {
        for chunk in chunks {
            let high = UInt32(chunk.number) << 16
            try chunk.container.forEach { try body(high | UInt32($0)) }
        }
    }

    /// Adds a chunk that is greater than all others; an empty one is left out.
    private mutating func append(_ container: Container, number: UInt16) {
        if container.count > 0 { chunks.append(Chunk(number: number, container: container)) }
    }
}

extension RowBitmap {
    package func union(_ other: RowBitmap) -> RowBitmap {
        var result = RowBitmap()
        var (i, j) = (0, 0)
        while i < chunks.count || j < other.chunks.count {
            if j == other.chunks.count || (i < chunks.count && chunks[i].number < other.chunks[j].number) {
                result.chunks.append(chunks[i])
                i += 1
            } else if i == chunks.count || other.chunks[j].number < chunks[i].number {
                result.chunks.append(other.chunks[j])
                j += 1
            } else {
                result.append(chunks[i].container.union(other.chunks[j].container), number: chunks[i].number)
                (i, j) = (i + 1, j + 1)
            }
        }
        return result
    }

    package func intersection(_ other: RowBitmap) -> RowBitmap {
        var result = RowBitmap()
        var (i, j) = (0, 0)
        while i < chunks.count, j < other.chunks.count {
            let (left, right) = (chunks[i], other.chunks[j])
            if left.number == right.number {
                result.append(left.container.intersection(right.container), number: left.number)
            }
            i += left.number <= right.number ? 1 : 0
            j += right.number <= left.number ? 1 : 0
        }
        return result
    }

    package func subtracting(_ other: RowBitmap) -> RowBitmap {
        var result = RowBitmap()
        var j = 0
        for chunk in chunks {
            while j < other.chunks.count, other.chunks[j].number < chunk.number { j += 1 }
            if j < other.chunks.count, other.chunks[j].number == chunk.number {
                result.append(chunk.container.subtracting(other.chunks[j].container), number: chunk.number)
            } else {
                result.chunks.append(chunk)
            }
        }
        return result
    }
}

extension RowBitmap {
    /// Collects slots in any order.
    package struct Builder {
        /// By chunk number; empty where nothing was inserted.
        private var words: [[UInt64]] = []

        package init() {}

        @inline(__always)
        package mutating func insert(_ slot: UInt32) {
            let number = Int(slot >> 16)
            if number >= words.count || words[number].isEmpty { makeRoom(number) }
            words[number][Int(slot & 65_535) >> 6] |= 1 << UInt64(slot & 63)
        }

        package mutating func insert(_ value: ContainerValue, chunk number: UInt16) {
            if Int(number) >= words.count || words[Int(number)].isEmpty { makeRoom(Int(number)) }
            words[Int(number)].withUnsafeMutableBufferPointer { value.insert(into: $0) }
        }

        /// Inserts words of 64 rows each, the first of which is word `first` of the slots'; they lie in one chunk.
        package mutating func insert(_ others: UnsafeBufferPointer<UInt64>, atWord first: Int) {
            let number = first / Container.wordCount
            let offset = first % Container.wordCount
            precondition(offset + others.count <= Container.wordCount)
            if number >= words.count || words[number].isEmpty { makeRoom(number) }
            for index in 0..<others.count { words[number][offset + index] |= others[index] }
        }

        @inline(never)
        private mutating func makeRoom(_ number: Int) {
            while words.count <= number { words.append([]) }
            words[number] = [UInt64](repeating: 0, count: Container.wordCount)
        }

        package consuming func finished() -> RowBitmap {
            var bitmap = RowBitmap()
            for (number, words) in words.enumerated() where !words.isEmpty {
                bitmap.append(Container(words: words), number: UInt16(number))
            }
            return bitmap
        }
    }
}
