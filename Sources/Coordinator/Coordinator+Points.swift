import Cluster
package import DataModel

extension Coordinator {
    package func retrieve(
        _ request: RetrieveRequest, from collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> [Record] {
        let table = try await routing(of: collection)
        try SchemaCheck(config: table.collection.value.config).check(request.withVectors)
        return try await retrieve(request, table: table, deadline: deadline)
    }

    /// An id that was asked for twice is answered twice.
    func retrieve(
        _ request: RetrieveRequest, table: RoutingTable, deadline: Deadline
    ) async throws(DatabaseError) -> [Record] {
        let parts = try ShardSplit.split(Array(Set(request.ids)), table: table) { $0 }
        let name = table.collection.value.name
        let answers = try await concurrently(parts) { (part) throws(DatabaseError) in
            var request = request
            request.ids = part.elements
            let own = request
            if own.isSettled {
                return try await self.readSettled(part.shard, of: name, deadline: deadline) {
                    (service, context) throws(ShardError) in
                    try await service.retrieve(own, context: context)
                }
            }
            return try await self.read(part.shard, of: name, deadline: deadline) {
                (service, context) throws(ShardError) in
                try await service.retrieve(own, context: context)
            }
        }
        var found: [PointID: Record] = [:]
        for record in answers.joined() { found[record.id] = record }
        return request.ids.compactMap { found[$0] }
    }

    package func scroll(
        _ request: ScrollRequest, through collection: String, replica: NodeID?, deadline: Deadline
    ) async throws(DatabaseError) -> ScrollPage {
        let table = try await routing(of: collection)
        try SchemaCheck(config: table.collection.value.config).check(request.withVectors)
        let shards = try shards(of: table, on: replica)
        var perShard = request
        perShard.limit += 1
        // A replica that is asked for by its node says what it has, settled or not.
        perShard.isSettled = request.isSettled && replica == nil
        let answers = try await concurrently(shards) { [perShard] (shard) throws(DatabaseError) in
            if perShard.isSettled {
                return try await self.readSettled(shard.id, of: collection, deadline: deadline) {
                    (service, context) throws(ShardError) in
                    try await service.scroll(perShard, context: context)
                }
            }
            return try await self.read(shard.id, of: collection, only: replica, deadline: deadline) {
                (service, context) throws(ShardError) in
                try await service.scroll(perShard, context: context)
            }
        }
        return Merge.page(answers, limit: request.limit)
    }

    /// The shards of the table; only those that a replica on `node` answers for, when one is given.
    ///
    /// - Throws: `invalid` when there is no such node, `unavailable` when it is down or its replica is not in sync.
    private func shards(of table: RoutingTable, on node: NodeID?) throws(DatabaseError) -> [ShardRecord] {
        let all = table.shards.map(\.value)
        guard let node else { return all }
        let state = cache.current
        guard state.nodes[node] != nil else { throw .invalid(reason: "replica: the cluster has no node \(node)") }
        guard state.isLive(node) else { throw .unavailable(reason: "node \(node) is down") }
        let held = all.filter { $0.replica(on: node) != nil }
        if let lagging = held.first(where: { !$0.isInSync(node) }) {
            throw .unavailable(
                reason: "shard \(lagging.id.number) of collection \(table.collection.value.name): "
                    + "the replica on node \(node) is catching up")
        }
        return held
    }

    package func count(
        _ filter: Filter?, in collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> UInt64 {
        let table = try await routing(of: collection)
        let counts = try await readAll(table, deadline: deadline) { (service, context) throws(ShardError) in
            try await service.count(filter, context: context)
        }
        return counts.reduce(0, +)
    }
}
