import Cluster
package import DataModel
import Foundation

extension Coordinator {
    package func reshard(
        _ request: ReshardRequest, dryRun: Bool, deadline: Deadline
    ) async throws(DatabaseError) -> ReshardReport {
        let state = try await freshState()
        guard let collection = state.collection(request.collection)?.value, collection.state == .ready else {
            throw .collectionNotFound(request.collection)
        }
        let shards = state.servingShards(of: collection.id).map(\.value)
        let statuses = await ReplicaStatuses.ask(shards, live: state.liveNodes, router: router, deadline: deadline)
        let known = shards.map { shard in
            Resharding.Shard(
                number: shard.id.number, virtualShards: shard.virtualShards,
                bytes: statuses.best(of: shard)?.diskBytes ?? 0)
        }
        let plans: [ReshardPlan]
        do throws(ReshardError) {
            plans = try Self.plans(request.change, known, of: collection.id)
        } catch {
            throw DatabaseError(error)
        }
        let steps = plans.map { plan in
            let own = shards.filter { plan.from.contains($0.id.number) }.map { statuses.best(of: $0) }
            return ReshardReport.Step(
                from: plan.from, into: plan.into, points: own.reduce(0) { $0 + ($1?.points ?? 0) },
                bytes: own.reduce(0) { $0 + ($1?.diskBytes ?? 0) }, reason: Self.reason(plan, request.change))
        }
        var report = ReshardReport(collection: request.collection, steps: steps)
        if dryRun { return report }
        if let open = state.openOperations.first(where: { operation in
            plans.contains { !Set($0.sources).isDisjoint(with: operation.value.kind.shards) }
        }) {
            throw .invalid(reason: "operation \(open.value.id) on one of the shards is not over yet")
        }
        report.operations = try await record(zip(plans, steps).map { ($0, $1) }, request)
        return report
    }

    private static func plans(
        _ change: ReshardRequest.Change, _ shards: [Resharding.Shard], of collection: CollectionID
    ) throws(ReshardError) -> [ReshardPlan] {
        switch change {
        case .split(nil, let parts):
            var plans: [ReshardPlan] = []
            for shard in shards { plans.append(try Resharding.split(shard, into: parts, of: collection)) }
            return plans
        case .split(let number?, let parts):
            return [try Resharding.split(try find([number], in: shards)[0], into: parts, of: collection)]
        case .merge(let numbers):
            return [try Resharding.merge(try find(Array(Set(numbers)), in: shards), of: collection)]
        case .mergeTo(let target):
            return try Resharding.merge(shards, to: target, of: collection)
        }
    }

    private static func find(
        _ numbers: [ShardNumber], in shards: [Resharding.Shard]
    ) throws(ReshardError) -> [Resharding.Shard] {
        var found: [Resharding.Shard] = []
        for number in numbers {
            guard let shard = shards.first(where: { $0.number == number }) else { throw .noSuchShard(number) }
            found.append(shard)
        }
        return found
    }

    private static func reason(_ plan: ReshardPlan, _ change: ReshardRequest.Change) -> String {
        let sizes = sizes(plan.into.map { $0.reduce(0) { $0 + $1.count } })
        return switch change {
        case .split(nil, let parts): "every shard becomes \(parts): \(sizes) virtual shards"
        case .split: "asked for: \(sizes) virtual shards"
        case .merge: "asked for: \(sizes) virtual shards, where shard \(plan.anchor) is, the largest of them"
        case .mergeTo(let target):
            "neighbours are merged until \(target) are left; it lies where shard \(plan.anchor) is, the largest of them"
        }
    }

    /// "64", "10 and 11", "4 times 8" or "9 times 14 to 15".
    private static func sizes(_ counts: [Int]) -> String {
        guard counts.count > 2, let least = counts.min(), let most = counts.max() else {
            return counts.map(\.description).joined(separator: " and ")
        }
        return "\(counts.count) times " + (least == most ? "\(least)" : "\(least) to \(most)")
    }

    private func record(
        _ steps: [(ReshardPlan, ReshardReport.Step)], _ request: ReshardRequest
    ) async throws(DatabaseError) -> [OperationStatus] {
        let now = Date().timeIntervalSince1970
        let prefix = String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16)
        var ids: [String] = []
        for (number, step) in steps.enumerated() {
            // In the order of their times: one begins when the one before is over.
            let operation = OperationRecord(
                id: steps.count == 1 ? prefix : "\(prefix)-\(number + 1)", kind: .reshard(step.0),
                reason: step.1.reason, bytesTotal: step.1.bytes, createdAt: now + Double(number) / 1_000,
                maxBytesPerSecond: request.maxBytesPerSecond)
            let key = ControlKey.operation(operation.id)
            let outcome = try await transact(
                guards: [ControlGuard(key: key, expected: nil)], mutations: [.put(key: key, value: operation.encoded)])
            guard case .committed = outcome else {
                throw .unavailable(reason: "the operation's id was taken; try again")
            }
            ids.append(operation.id)
        }
        let state = try await freshState()
        return ids.compactMap { state.operations[$0] }.map { OperationStatus($0.value, in: state) }
    }
}

extension DatabaseError {
    fileprivate init(_ error: ReshardError) {
        let reason =
            switch error {
            case .noSuchShard(let number): "shard: the collection has no shard \(number)"
            case .tooManyParts(let shard, let parts, let virtualShards):
                "into: shard \(shard) owns \(virtualShards) virtual shards, and is divided into 2 to "
                    + "\(virtualShards) shards, not into \(parts)"
            case .tooFewShards: "shards: a merge takes at least two"
            case .tooManyShards(let count, let limit):
                "one operation makes or replaces at most \(limit) shards, and this one \(count): do it in several steps"
            case .wrongTarget(let shards, let target):
                "to: \(shards) shards are merged into 1 to \(shards - 1), not into \(target)"
            }
        self = .invalid(reason: reason)
    }
}
