internal import Glibc

/// A page of entries, checked for what must hold on each: LMDB has no checksums of pages, but a page says much of itself
/// more than once.
///
/// ```
/// 0        8    10      12      14      16                  lower       upper                          page size
/// ├────────┼────┼───────┼───────┼───────┼───────────────────┼───────────┼──────────────────────────────┤
/// │ number │    │ flags │ lower │ upper │ offsets of nodes  │   free    │ nodes, without gaps          │
/// ```
/// A node: length of the value (4), flags (2), length of the key (2), key, then the value or the number of its pages (8),
/// filled up to an even size.
struct LeafPage {
    static let headerBytes = 16
    private static let nodeHeaderBytes = 8

    private enum Flags {
        static let leaf: UInt16 = 0x02
        /// Those of kinds of pages.
        static let kinds: UInt16 = 0x6F
        /// Of a node whose value has pages of its own.
        static let large: UInt16 = 0x01
    }

    let start: UnsafeRawPointer
    let pageBytes: Int

    private func word(_ offset: Int) -> Int { Int(start.load(fromByteOffset: offset, as: UInt16.self)) }

    /// Whether the page is the one with the number, its nodes fill it without gaps, and their keys ascend.
    ///
    /// - Complexity: linear in the entries of the page, some nanoseconds each.
    func isSound(number: UInt) -> Bool {
        let (lower, upper) = (word(12), word(14))
        guard start.load(as: UInt64.self) == UInt64(number), UInt16(word(10)) & Flags.kinds == Flags.leaf,
            lower > Self.headerBytes, lower % 2 == 0, lower <= upper, upper <= pageBytes
        else { return false }
        var bytes = 0
        var former: UnsafeRawBufferPointer?
        for pointer in stride(from: Self.headerBytes, to: lower, by: 2) {
            let offset = word(pointer)
            guard offset >= upper, offset % 2 == 0, offset + Self.nodeHeaderBytes <= pageBytes else { return false }
            let (flags, keyBytes) = (UInt16(word(offset + 4)), word(offset + 6))
            guard flags & ~Flags.large == 0 else { return false }
            let valueBytes = flags == Flags.large ? 8 : word(offset) | word(offset + 2) << 16
            let end = offset + Self.nodeHeaderBytes + keyBytes + valueBytes
            guard end <= pageBytes else { return false }
            bytes += (end - offset + 1) & ~1
            let key = UnsafeRawBufferPointer(start: start + offset + Self.nodeHeaderBytes, count: keyBytes)
            if let former, !former.isLess(than: key) { return false }
            former = key
        }
        return bytes == pageBytes - upper
    }
}

extension UnsafeRawBufferPointer {
    /// The order of LMDB's keys.
    @inline(__always)
    func isLess(than other: UnsafeRawBufferPointer) -> Bool {
        guard let bytes = baseAddress, let others = other.baseAddress else { return count < other.count }
        let order = memcmp(bytes, others, Swift.min(count, other.count))
        return order == 0 ? count < other.count : order < 0
    }
}
