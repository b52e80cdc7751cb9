import Coordinator
import DataModel
import Hummingbird

/// `/shoal/split` and `/shoal/merge`: physical shards are replaced by others.
struct ReshardRoutes: Sendable {
    let api: API

    func add(to table: RouteTable) {
        table.add("/shoal/split", [.post: reshard { (root) throws(DialectError) in try root.splitRequest() }])
        table.add("/shoal/merge", [.post: reshard { (root) throws(DialectError) in try root.mergeRequest() }])
    }

    private func reshard(
        _ parse: @escaping @Sendable (JSONElement) throws(DialectError) -> ReshardRequest
    ) -> RouteTable.Handler {
        { request, context in
            let (wanted, dryRun) = try await api.bodies.json(of: request) { (root) throws(DialectError) in
                (try parse(root), try root.bool("dryRun") ?? false)
            }
            let report = try await api.database.reshard(
                wanted, dryRun: dryRun, deadline: try api.deadline(request, standard: API.writeTimeout))
            return try Envelope.ok(context, encoding: report)
        }
    }
}

extension JSONElement {
    /// `{"collection"}`, and if need be `shard` (else every one), `into` (else 2), `maxBytesPerSecond`, `dryRun`.
    fileprivate func splitRequest() throws(DialectError) -> ReshardRequest {
        try requireObject()
        let shard = try integer("shard", in: 0...Int(UInt32.max)).map { ShardNumber(UInt32($0)) }
        let parts = try integer("into", in: 2...Limits.physicalShards.upperBound) ?? 2
        return try reshardRequest(.split(shard, into: parts))
    }

    /// `{"collection"}` with either `shards`, which are merged into one, or `to`, the number of shards that are left; if
    /// need be `maxBytesPerSecond`, `dryRun`.
    fileprivate func mergeRequest() throws(DialectError) -> ReshardRequest {
        try requireObject()
        let target = try integer("to", in: Limits.physicalShards)
        guard let list = try field("shards") else {
            guard let target else { throw DialectError("shards", "either this or `to` is needed") }
            return try reshardRequest(.mergeTo(target))
        }
        if target != nil { throw DialectError("to", "only without `shards`") }
        return try reshardRequest(.merge(try list.shardNumbers()))
    }

    private func shardNumbers() throws(DialectError) -> [ShardNumber] {
        guard isArray else { throw DialectError("shards", "an array is expected, not \(typeName)") }
        var numbers: [ShardNumber] = []
        for element in elements {
            guard let number = element.unsignedValue, number <= UInt64(UInt32.max) else {
                throw DialectError("shards", "not a list of shard numbers")
            }
            numbers.append(ShardNumber(UInt32(number)))
        }
        return numbers
    }

    private func reshardRequest(_ change: ReshardRequest.Change) throws(DialectError) -> ReshardRequest {
        guard let collection = try string("collection") else {
            throw DialectError("collection", "the field is missing")
        }
        return ReshardRequest(
            collection: collection, change: change,
            maxBytesPerSecond: try integer("maxBytesPerSecond", in: 1...Int.max).map { UInt64($0) })
    }
}
