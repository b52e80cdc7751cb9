/// Nodes in ascending order of a key that changes as they give and take replicas.
struct NodeOrder {
    struct Key: Comparable {
        var first: UInt64
        var second: UInt64
        var node: Int

        static func < (a: Key, b: Key) -> Bool { (a.first, a.second, a.node) < (b.first, b.second, b.node) }
    }

    private(set) var keys: [Key]

    init(_ keys: [Key]) { self.keys = keys.sorted() }

    /// Gives a node another key.
    ///
    /// - Complexity: O(n), for moving memory.
    mutating func update(_ key: Key) {
        guard let old = keys.firstIndex(where: { $0.node == key.node }) else { return }
        keys.remove(at: old)
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        keys.insert(key, at: low)
    }
}
