/// One of `total` disjoint parts of all possible ids, the same on every server of the dialect.
package struct IDSlice: Sendable, Hashable {
    /// At least 1.
    package var total: UInt32
    /// Less than `total`.
    package var index: UInt32

    package init(total: UInt32, index: UInt32) {
        self.total = total
        self.index = index
    }

    package func contains(_ id: PointID) -> Bool { SipHash.hash(id) % UInt64(max(total, 1)) == UInt64(index) }
}

/// SipHash-2-4 with a zero key (Aumasson & Bernstein, 2012), over the bytes that the dialect hashes.
private struct SipHash {
    private var v0: UInt64 = 0x736f_6d65_7073_6575
    private var v1: UInt64 = 0x646f_7261_6e64_6f6d
    private var v2: UInt64 = 0x6c79_6765_6e65_7261
    private var v3: UInt64 = 0x7465_6462_7974_6573

    /// A number hashes as 8 little-endian bytes, a UUID as its 16 bytes in the order of its text.
    static func hash(_ id: PointID) -> UInt64 {
        var hash = SipHash()
        switch id {
        case .number(let value):
            hash.compress(value)
            return hash.finished(byteCount: 8)
        case .uuid(let high, let low):
            hash.compress(high.byteSwapped)
            hash.compress(low.byteSwapped)
            return hash.finished(byteCount: 16)
        }
    }

    private mutating func compress(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    private mutating func finished(byteCount: UInt64) -> UInt64 {
        compress(byteCount << 56)
        v2 ^= 0xff
        for _ in 0..<4 { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }

    private mutating func round() {
        v0 &+= v1
        v1 = v1 << 13 | v1 >> 51
        v1 ^= v0
        v0 = v0 << 32 | v0 >> 32
        v2 &+= v3
        v3 = v3 << 16 | v3 >> 48
        v3 ^= v2
        v0 &+= v3
        v3 = v3 << 21 | v3 >> 43
        v3 ^= v0
        v2 &+= v1
        v1 = v1 << 17 | v1 >> 47
        v1 ^= v2
        v2 = v2 << 32 | v2 >> 32
    }
}
