import DataModel

extension Controller {
    /// Takes collections that are being deleted out of the map, and gives up on creations that nobody finishes.
    mutating func advanceCollections() {
        for name in state.collections.keys.sorted() {
            guard let collection = state.collections[name] else { continue }
            switch collection.value.state {
            case .ready: continue
            case .creating:
                guard isAbandoned(collection.value) else { continue }
                var record = collection.value
                record.state = .deleting
                act(
                    "collection \(name): its creation was not finished",
                    guards: [ControlGuard(key: ControlKey.collection(name), expected: collection.revision)],
                    mutations: [.put(key: ControlKey.collection(name), value: record.encoded)])
            case .deleting:
                delete(collection)
            }
        }
        deleteOrphanedShards()
    }

    /// A recovery may take as long as its node works on it; a creation takes a moment.
    private func isAbandoned(_ collection: CollectionRecord) -> Bool {
        if let recovery = collection.recovery {
            return state.live[recovery.node]?.value.incarnation != recovery.incarnation
        }
        return now - collection.createdAt > options.creationPatienceSeconds
    }

    /// Deletes as many shards as one transaction takes, and with the last of them the collection.
    private mutating func delete(_ collection: Stored<CollectionRecord>) {
        let key = ControlKey.collection(collection.value.name)
        let shards = state.shards(of: collection.value.id)
        // One place is the collection's own.
        let batch = shards.prefix(ControlLimits.transactionOperations - 1)
        var mutations = batch.map { ControlMutation.delete(key: ControlKey.shard($0.value.id)) }
        for shard in batch { touch(shard.value.id) }
        if batch.count == shards.count { mutations.append(.delete(key: key)) }
        act(
            "collection \(collection.value.name): \(batch.count) of \(shards.count) shards are taken out of the map",
            guards: [ControlGuard(key: key, expected: collection.revision)], mutations: mutations)
    }

    /// Shards whose collection is not there were left behind by a creation of many transactions that was cut short.
    private mutating func deleteOrphanedShards() {
        for id in state.shards.keys.sorted() {
            let collection: Stored<CollectionRecord>? = state.collection(id)
            if collection != nil { continue }
            for shard in state.shards(of: id) {
                touch(shard.value.id)
                let key = ControlKey.shard(shard.value.id)
                act(
                    "shard \(shard.value.id): its collection is gone",
                    guards: [ControlGuard(key: key, expected: shard.revision)], mutations: [.delete(key: key)])
            }
        }
    }
}
