import Cluster
package import DataModel

extension Coordinator {
    package func retrieve(
        _ request: RetrieveRequest, from collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<[Record]> {
        try await routed(collection, options, deadline: deadline) { (table) throws(DatabaseError) in
            try SchemaCheck(config: table.collection.value.config).check(request.withVectors)
            return try await self.retrieve(request, table: table, options: options, deadline: deadline)
        }
    }

    /// An id that was asked for twice is answered twice.
    func retrieve(
        _ request: RetrieveRequest, table: RoutingTable, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<[Record]> {
        let parts = try ShardSplit.split(Array(Set(request.ids)), table: table) { $0 }
        let ids = Dictionary(uniqueKeysWithValues: parts.map { ($0.shard, $0.elements) })
        let config = table.collection.value.config
        let read = ShardRead<[Record]>(
            collection: table.collection.value, kind: ReadKind(.retrieve, units: request.ids.count / max(parts.count, 1)),
            options: options, isSettled: request.isSettled, deadline: deadline,
            expectedBytes: request.ids.count
                * config.expectedFootprint(withPayload: request.withPayload, withVectors: request.withVectors),
            footprint: { $0.footprint }, merge: AnswerMerge.newest
        ) { (service, shard, context) throws(ShardError) in
            var part = request
            part.ids = ids[shard] ?? []
            return try await service.retrieve(part, context: context)
        }
        let answers = try await readAll(parts.map(\.shard), read)
        var found: [PointID: Record] = [:]
        for record in answers.lazy.compactMap({ $0 }).joined() { found[record.id] = record }
        return reading(request.ids.compactMap { found[$0] }, from: parts.map(\.shard), answers, options)
    }

    package func scroll(
        _ request: ScrollRequest, through collection: String, replica: NodeID?, options: ReadOptions,
        deadline: Deadline
    ) async throws(DatabaseError) -> Reading<ScrollPage> {
        try await routed(collection, options, deadline: deadline) { (table) throws(DatabaseError) in
            try await self.scroll(request, through: table, replica: replica, options: options, deadline: deadline)
        }
    }

    private func scroll(
        _ request: ScrollRequest, through table: RoutingTable, replica: NodeID?, options: ReadOptions,
        deadline: Deadline
    ) async throws(DatabaseError) -> Reading<ScrollPage> {
        try SchemaCheck(config: table.collection.value.config).check(request.withVectors)
        let shards = try shards(of: table, on: replica).map(\.id)
        var perShard = request
        perShard.limit += 1
        // A replica that is asked for by its node says what it has, settled or not.
        perShard.isSettled = request.isSettled && replica == nil
        let read = ShardRead<[Record]>(
            collection: table.collection.value, kind: ReadKind(.scroll, units: request.limit), options: options,
            only: replica, isSettled: perShard.isSettled, deadline: deadline,
            expectedBytes: shards.count * request.limit
                * table.collection.value.config.expectedFootprint(
                    withPayload: request.withPayload, withVectors: request.withVectors),
            footprint: { $0.footprint }, merge: { [perShard] in AnswerMerge.page($0, limit: perShard.limit) }
        ) { [perShard] (service, _, context) throws(ShardError) in
            try await service.scroll(perShard, context: context)
        }
        let answers = try await readAll(shards, read)
        return reading(Merge.page(answers.compactMap { $0 }, limit: request.limit), from: shards, answers, options)
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
        _ filter: Filter?, in collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<UInt64> {
        try await routed(collection, options, deadline: deadline) { (table) throws(DatabaseError) in
            try await self.count(filter, in: table, options: options, deadline: deadline)
        }
    }

    private func count(
        _ filter: Filter?, in table: RoutingTable, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<UInt64> {
        let shards = table.shards.map(\.value.id)
        let read = ShardRead<UInt64>(
            collection: table.collection.value, kind: ReadKind(.count, units: filter == nil ? 1 : 4), options: options,
            deadline: deadline, merge: AnswerMerge.count
        ) { (service, _, context) throws(ShardError) in
            try await service.count(filter, context: context)
        }
        let counts = try await readAll(shards, read)
        return reading(counts.reduce(0) { $0 + ($1 ?? 0) }, from: shards, counts, options)
    }
}
