internal import DataModel

/// A number, time or place of a row, as ordered bits.
struct NumberPair: Comparable {
    var bits: UInt64
    var slot: UInt32

    static func < (lhs: Self, rhs: Self) -> Bool { (lhs.bits, lhs.slot) < (rhs.bits, rhs.slot) }
}

/// An entry of `numbers`: pairs of one index that follow each other, under a key that begins with the index and has the
/// first of them.
///
/// ```
/// key    index (2), bits (8), slot (4)
/// value  checksum (8), then for each pair bits (8), slot (4)           all integers are big-endian
/// ```
/// A chunk is full with what LMDB keeps on a shared page: changing one costs about what one page of a table costs, and
/// reading all of a range about a nanosecond a pair, the checksum included.
struct NumberChunk {
    static let pairBytes = 12
    static let keyBytes = 2 + pairBytes
    /// With its checksum, its key and LMDB's header a chunk takes less than half of a page of 4,096 bytes; a larger one
    /// would get a page of its own.
    static let maximumPairs = 160

    /// Points into the map.
    private let bytes: UnsafeRawBufferPointer
    let index: UInt16
    let count: Int

    /// - Throws: `corrupted` when the entry is not what was written.
    init(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
        bytes = try Sealed.contents(of: value, at: Sealed.number(of: key), "an entry of `numbers`")
        guard key.count == Self.keyBytes, !bytes.isEmpty, bytes.count % Self.pairBytes == 0 else {
            throw ShardError.corrupted(reason: "an entry of `numbers` holds no pairs")
        }
        index = UInt16(bigEndian: key.loadUnaligned(as: UInt16.self))
        count = bytes.count / Self.pairBytes
    }

    @inline(__always)
    func bits(at index: Int) -> UInt64 {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: index &* Self.pairBytes, as: UInt64.self))
    }

    @inline(__always)
    func slot(at index: Int) -> UInt32 {
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: index &* Self.pairBytes &+ 8, as: UInt32.self))
    }

    var first: NumberPair { NumberPair(bits: bits(at: 0), slot: slot(at: 0)) }
    var pairs: [NumberPair] { (0..<count).map { NumberPair(bits: bits(at: $0), slot: slot(at: $0)) } }

    func firstIndex(notBelow bits: UInt64) -> Int { partition { $0 >= bits } }
    func firstIndex(above bits: UInt64) -> Int { partition { $0 > bits } }

    /// The first index whose bits pass, in pairs of which all that do are behind the others.
    private func partition(_ isSecond: (UInt64) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isSecond(bits(at: middle)) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension NumberChunk {
    static func key(index: UInt16, first: NumberPair) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(keyBytes)
        key.append(bigEndian: index)
        key.append(bigEndian: first.bits)
        key.append(bigEndian: first.slot)
        return key
    }

    static func value(_ pairs: ArraySlice<NumberPair>, at key: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(pairs.count * pairBytes)
        for pair in pairs {
            bytes.append(bigEndian: pair.bits)
            bytes.append(bigEndian: pair.slot)
        }
        return Sealed.bytes(bytes, at: Sealed.number(of: key))
    }
}
