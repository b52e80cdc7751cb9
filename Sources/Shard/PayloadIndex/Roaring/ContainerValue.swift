package import DataModel

/// A container as one LMDB value, read where it lies.
///
/// ```
/// 0      1      2                  4
/// ├──────┼──────┼──────────────────┼───────────────────────────────────────────────
/// │ kind │  0   │ rows - 1         │ array: rows x UInt16, ascending
/// │      │      │ (little-endian)  │ bits: 1,024 x UInt64
/// │      │      │                  │ runs: pairs of UInt16, first and last row of each run, ascending
/// ```
/// All little-endian. Whatever the bytes say, reading them yields rows of the chunk and nothing else. Empty containers
/// are not stored.
package struct ContainerValue {
    private enum Kind: UInt8 {
        case array = 0
        case bits = 1
        case runs = 2
    }

    private static let headerBytes = 4

    private let kind: Kind
    /// As the header says: right for what was written here, and no more than an estimate of what a disk gave back.
    package let count: Int
    private let body: UnsafeRawBufferPointer

    /// - Throws: `corrupted` when the bytes are no container.
    package init(_ bytes: UnsafeRawBufferPointer) throws(ShardError) {
        guard bytes.count > Self.headerBytes, let kind = Kind(rawValue: bytes[0]) else {
            throw .corrupted(reason: "an entry of `postings` is no container")
        }
        self.kind = kind
        count = Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))) + 1
        body = UnsafeRawBufferPointer(rebasing: bytes[Self.headerBytes...])
        let isWhole =
            switch kind {
            case .array: body.count == count * 2
            case .bits: body.count == Container.wordCount * 8
            case .runs: body.count % 4 == 0
            }
        guard isWhole else { throw .corrupted(reason: "a container of `postings` has \(bytes.count) bytes") }
    }

    /// A copy.
    package var container: Container {
        if kind == .array {
            var values: [UInt16] = []
            values.reserveCapacity(count)
            for index in 0..<count { values.append(word16(index)) }
            // The order is what look-ups rest on, so it is not taken on trust.
            if zip(values, values.dropFirst()).allSatisfy(<) { return Container(ascending: values) }
        }
        var words = [UInt64](repeating: 0, count: Container.wordCount)
        words.withUnsafeMutableBufferPointer { insert(into: $0) }
        return Container(words: words)
    }

    /// Sets the bits of the rows in `words`, of which there are `Container.wordCount`.
    package func insert(into words: UnsafeMutableBufferPointer<UInt64>) {
        precondition(words.count >= Container.wordCount)
        switch kind {
        case .array:
            for index in 0..<count {
                let value = word16(index)
                words[Int(value >> 6)] |= 1 << UInt64(value & 63)
            }
        case .bits:
            for index in 0..<Container.wordCount {
                words[index] |= UInt64(littleEndian: body.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
            }
        case .runs:
            for index in 0..<body.count / 4 {
                let (first, last) = (Int(word16(index * 2)), Int(word16(index * 2 + 1)))
                if first <= last { words.setBits(first...last) }
            }
        }
    }

    @inline(__always)
    private func word16(_ index: Int) -> UInt16 {
        UInt16(littleEndian: body.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
    }
}

extension ContainerValue {
    /// The shortest of the three forms.
    ///
    /// - Precondition: the container is not empty.
    package static func bytes(_ container: Container) -> [UInt8] {
        precondition(container.count > 0)
        let runs = runs(of: container)
        let plainBytes = min(container.count * 2, Container.wordCount * 8)
        let kind: Kind = runs.count * 4 < plainBytes ? .runs : container.count <= Container.arrayLimit ? .array : .bits
        var writer = BinaryWriter(capacity: headerBytes + min(plainBytes, runs.count * 4))
        writer.write(kind.rawValue)
        writer.write(UInt8(0))
        writer.write(UInt16(container.count - 1))
        switch kind {
        case .array: container.forEach { writer.write($0) }
        case .bits: for word in container.words { writer.write(word) }
        case .runs:
            for run in runs {
                writer.write(run.lowerBound)
                writer.write(run.upperBound)
            }
        }
        return writer.bytes
    }

    /// Runs of rows; cut off when there are so many that runs are no choice.
    private static func runs(of container: Container) -> [ClosedRange<UInt16>] {
        let limit = Container.wordCount * 2
        var runs: [ClosedRange<UInt16>] = []
        func add(_ first: UInt16, _ last: UInt16) {
            if runs.count <= limit { runs.append(first...last) }
        }
        var first: UInt16?
        var last: UInt16 = 0
        container.forEach { value in
            if let start = first, value != last &+ 1 {
                add(start, last)
                first = value
            }
            if first == nil { first = value }
            last = value
        }
        if let first { add(first, last) }
        return runs
    }
}

extension UnsafeMutableBufferPointer<UInt64> {
    /// Sets a run of bits.
    func setBits(_ range: ClosedRange<Int>) {
        let (first, last) = (range.lowerBound >> 6, range.upperBound >> 6)
        let head = UInt64.max << UInt64(range.lowerBound & 63)
        let tail = UInt64.max >> UInt64(63 - range.upperBound & 63)
        if first == last {
            self[first] |= head & tail
            return
        }
        self[first] |= head
        for index in first + 1..<last { self[index] = .max }
        self[last] |= tail
    }
}
