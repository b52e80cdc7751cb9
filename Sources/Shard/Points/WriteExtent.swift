internal import DataModel

/// The virtual shards for which a write is still to be done: where shards were merged, another part of it may have been
/// done, and is known by its name.
struct WriteExtent {
    /// Nil for all.
    let wanted: VirtualShardSet?
    let done: VirtualShardSet?
    let virtualShards: Int

    func contains(_ id: PointID) -> Bool {
        if wanted == nil, done == nil { return true }
        let shard = VirtualShard(of: id, count: virtualShards)
        return wanted?.contains(shard) ?? true && done?.contains(shard) != true
    }

    /// The part of the write that is to be done; nil when that is nothing.
    func part(of write: WriteRequest) -> WriteRequest? {
        guard let done else { return write }
        if let wanted, done.isSuperset(of: wanted) { return nil }
        var part = write
        part.conditions.removeAll { !contains($0.id) }
        part.stamp?.scope = wanted.map(done.union)
        switch write.operation {
        case .upsert(let points): part.operation = .upsert(points.filter { contains($0.id) })
        case .delete(let ids): part.operation = .delete(ids.filter(contains))
        case .deleteMatching, .adopt: return part
        }
        return part.operation.isEmpty ? nil : part
    }
}

extension WriteOperation {
    fileprivate var isEmpty: Bool {
        switch self {
        case .upsert(let points): points.isEmpty
        case .delete(let ids): ids.isEmpty
        case .deleteMatching, .adopt: false
        }
    }
}
