internal import DataModel

/// An entry of `numbers`: the value's ordered bits (8), then the slot (4), both big-endian, at the index's number.
enum NumberPair {
    static let byteCount = 12

    static func bytes(bits: UInt64, slot: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        bytes.append(bigEndian: bits)
        bytes.append(bigEndian: slot)
        return bytes
    }

    /// Entries that lie one after the other, in order. Valid as long as the transaction's values are.
    struct Run {
        private let bytes: UnsafeRawBufferPointer
        let count: Int

        /// - Throws: `corrupted` when the bytes are no entries.
        init(_ bytes: UnsafeRawBufferPointer) throws(ShardError) {
            guard bytes.count % byteCount == 0 else {
                throw .corrupted(reason: "\(bytes.count) bytes of `numbers` are no pairs")
            }
            self.bytes = bytes
            count = bytes.count / byteCount
        }

        @inline(__always)
        func bits(at index: Int) -> UInt64 {
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: index &* byteCount, as: UInt64.self))
        }

        @inline(__always)
        func slot(at index: Int) -> UInt32 {
            UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: index &* byteCount &+ 8, as: UInt32.self))
        }

        func firstIndex(notBelow bits: UInt64) -> Int { partition { $0 >= bits } }
        func firstIndex(above bits: UInt64) -> Int { partition { $0 > bits } }

        /// The first index whose bits pass, in entries of which all that do are behind the others.
        private func partition(_ isSecond: (UInt64) -> Bool) -> Int {
            var (low, high) = (0, count)
            while low < high {
                let middle = (low + high) / 2
                if isSecond(bits(at: middle)) { high = middle } else { low = middle + 1 }
            }
            return low
        }
    }
}
