import Coordinator
import DataModel
import Foundation
import Synchronization
import Testing

@Suite struct ServiceRouteTests {
    @Test func healthReadinessAndMetricsAreTold() async throws {
        try await TestServer.run { server in
            #expect(try await server.send("GET", "/").json["version"] as? String == "1.19.0")
            for path in ["/healthz", "/livez", "/readyz"] { #expect(try await server.send("GET", path).status == 200) }
            #expect(try await server.send("HEAD", "/healthz").status == 200)
            #expect(try await server.send("GET", "/metrics").body == "shoal_up 1\n")
            #expect(try await server.send("GET", "/telemetry").status == 200)
            server.database.state.withLock { $0.notReady = "no lease" }
            let unready = try await server.send("GET", "/readyz")
            #expect((unready.status, unready.body) == (503, "not ready: no lease"))
            #expect(try await server.send("GET", "/livez").status == 200)
        }
    }

    @Test func unknownPathsAndMethodsAnswerInTheEnvelope() async throws {
        try await TestServer.run { server in
            let path = try await server.send("GET", "/no/such/path")
            #expect((path.status, path.error) == (404, "Not found: no such path, `/no/such/path`"))
            let method = try await server.send("PATCH", "/collections/c/points/query", "{}")
            #expect((method.status, method.headers["allow"]) == (405, "POST"))
            #expect(!method.error.isEmpty)
            let unsupported = try await server.send("POST", "/collections/c/facet", #"{"key":"n"}"#)
            #expect((unsupported.status, unsupported.error) == (400, "Wrong input: faceting: not supported"))
        }
    }

    @Test func everyFailureOfTheDatabaseHasItsStatus() async throws {
        let statuses: [(DatabaseError, Int)] = [
            (.collectionNotFound("c"), 404), (.collectionExists("c"), 409), (.pointNotFound(.number(1)), 404),
            (.operationNotFound("o"), 404), (.invalid(reason: "r"), 400), (.unavailable(reason: "r"), 503),
            (.overloaded(reason: "r"), 429), (.outOfSpace(reason: "r"), 507), (.deadlineExceeded(reason: "r"), 504),
            (.internalFailure(reason: "r"), 500),
        ]
        try await TestServer.run { server in
            for (failure, status) in statuses {
                server.database.state.withLock { $0.failure = failure }
                let answer = try await server.send("POST", "/collections/c/points/count", "{}")
                #expect(answer.status == status)
                #expect(!answer.error.isEmpty)
                #expect(answer.json["time"] is Double)
                #expect((answer.headers["retry-after"] != nil) == [503, 429].contains(status))
            }
        }
    }

    @Test func theClusterIsShownInTheDialectAndInFull() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let cluster = try await server.send("GET", "/cluster").result as? [String: Any]
            #expect(cluster?["status"] as? String == "enabled")
            #expect((cluster?["peers"] as? [String: Any])?.keys.sorted() == ["1", "2"])
            let shards = try await server.send("GET", "/collections/c/cluster").result as? [String: Any]
            #expect((shards?["local_shards"] as? [[String: Any]])?.first?["state"] as? String == "Active")
            #expect((shards?["remote_shards"] as? [[String: Any]])?.first?["state"] as? String == "Partial")
            #expect(try await server.send("GET", "/collections/d/cluster").status == 404)

            let text = try await server.send("GET", "/shoal/cluster").resultText
            let status = try JSONDecoder().decode(ClusterStatus.self, from: Data(text.utf8))
            #expect(status.nodes.map(\.id.rawValue) == [1, 2])
            let tables = try await server.send("GET", "/shoal/shards?collection=c").resultText
            #expect(try JSONDecoder().decode([ShardTable].self, from: Data(tables.utf8)).map(\.collection) == ["c"])
            #expect(try await server.send("GET", "/shoal/shards?collection=d").status == 404)
        }
    }

    @Test func shardsAreSplitAndMerged() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let wishes: [(String, String, ReshardRequest.Change, UInt64?, Bool)] = [
                ("split", #"{"collection":"c"}"#, .split(nil, into: 2), nil, false),
                (
                    "split", #"{"collection":"c","shard":1,"into":3,"maxBytesPerSecond":9}"#,
                    .split(ShardNumber(1), into: 3), 9, false
                ),
                (
                    "merge", #"{"collection":"c","shards":[0,1],"dryRun":true}"#,
                    .merge([ShardNumber(0), ShardNumber(1)]), nil, true
                ),
                ("merge", #"{"collection":"c","to":1}"#, .mergeTo(1), nil, false),
            ]
            for (verb, body, change, limit, dryRun) in wishes {
                #expect(try await server.send("POST", "/shoal/\(verb)", body).status == 200)
                let last = server.database.state.withLock { $0.reshards.last }
                #expect(last?.request == ReshardRequest(collection: "c", change: change, maxBytesPerSecond: limit))
                #expect(last?.dryRun == dryRun)
            }
            for (verb, body, field) in [
                ("split", #"{"shard":1}"#, "collection"), ("split", #"{"collection":"c","into":1}"#, "into"),
                ("merge", #"{"collection":"c"}"#, "shards"), ("merge", #"{"collection":"c","shards":["a"]}"#, "shards"),
                ("merge", #"{"collection":"c","shards":[1],"to":1}"#, "to"),
            ] {
                let answer = try await server.send("POST", "/shoal/\(verb)", body)
                #expect(answer.status == 400)
                #expect(answer.error.contains(field), "\(body): \(answer)")
            }
        }
    }

    @Test func replicasAreMovedAndOperationsCancelled() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let expected = OperationRequest.move(
                collection: "c", shard: ShardNumber(0), from: NodeID(1), to: NodeID(2))
            let moved = try await server.send(
                "POST", "/collections/c/cluster",
                #"{"move_shard":{"shard_id":0,"from_peer_id":1,"to_peer_id":2,"method":"snapshot"}}"#)
            #expect(moved.resultText == "true")
            let ours = try await server.send("POST", "/shoal/move", #"{"collection":"c","shard":0,"from":1,"to":2}"#)
            #expect((ours.result as? [String: Any])?["state"] as? String == "planned")
            #expect(server.database.state.withLock { $0.begun } == [expected, expected])
            #expect((try await server.send("GET", "/shoal/operations").result as? [Any])?.count == 2)
            let cancelled = try await server.send("DELETE", "/shoal/operations/op-1")
            #expect((cancelled.result as? [String: Any])?["state"] as? String == "cancelled")
            #expect(try await server.send("DELETE", "/shoal/operations/op-9").status == 404)
        }
    }

    @Test func operationsOfEveryKindAreBegunOrOnlyPlanned() async throws {
        let (shard, one, two) = (ShardNumber(3), NodeID(1), NodeID(2))
        let kinds: [(String, OperationRequest)] = [
            (
                #""kind":"replicate","collection":"c","shard":3,"to":2"#,
                .replicate(collection: "c", shard: shard, to: two)
            ),
            (
                #""kind":"drop-replica","collection":"c","shard":3,"from":1"#,
                .dropReplica(collection: "c", shard: shard, from: one)
            ),
            (
                #""kind":"set-replication-factor","collection":"c","factor":3"#,
                .setReplicationFactor(collection: "c", factor: 3)
            ),
            (#""kind":"drain","node":1,"maxBytesPerSecond":4096"#, .drain(one)),
            (#""kind":"remove","node":2"#, .remove(two)),
            (#""kind":"rebalance""#, .rebalance(by: nil)), (#""kind":"rebalance","by":"load""#, .rebalance(by: .load)),
        ]
        try await TestServer.run { server in
            for (body, expected) in kinds {
                let planned = try await server.send("POST", "/shoal/operations", "{\(body),\"dryRun\":true}")
                #expect(planned.resultText == #"{"loads":[],"steps":[]}"#)
                #expect(server.database.state.withLock { $0.begun }.isEmpty)
                #expect(try await server.send("POST", "/shoal/operations", "{\(body)}").status == 200)
                #expect(
                    server.database.state.withLock { state in
                        defer { state.begun = [] }
                        return state.begun
                    } == [expected])
            }
            #expect(try await server.send("DELETE", "/shoal/draining/2").resultText == "true")
            #expect(server.database.state.withLock { $0.undrained } == [two])
        }
    }

    @Test func theDialectReplicatesDropsAndAborts() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let path = "/collections/c/cluster"
            let transfer = #"{"shard_id":0,"from_peer_id":1,"to_peer_id":2}"#
            #expect(try await server.send("POST", path, #"{"replicate_shard":\#(transfer)}"#).resultText == "true")
            let transfers = (try await server.send("GET", path).result as? [String: Any])?["shard_transfers"]
            #expect((transfers as? [[String: Any]])?.first?["sync"] as? Bool == true)
            #expect(try await server.send("POST", path, #"{"abort_transfer":\#(transfer)}"#).resultText == "true")
            let wrong = try await server.send(
                "POST", path, #"{"abort_transfer":{"shard_id":1,"from_peer_id":1,"to_peer_id":2}}"#)
            #expect((wrong.status, wrong.error.contains("not being transferred")) == (400, true))
            #expect(
                try await server.send("POST", path, #"{"drop_replica":{"shard_id":0,"peer_id":1}}"#).resultText
                    == "true")
            #expect(
                server.database.state.withLock { $0.begun }.last
                    == .dropReplica(collection: "c", shard: ShardNumber(0), from: NodeID(1)))
            // Nodes 1 and 2 hold a replica each.
            #expect(try await server.send("DELETE", "/cluster/peer/1").error.contains("drain it first"))
            #expect(try await server.send("DELETE", "/cluster/peer/1?force=true").resultText == "true")
            #expect(server.database.state.withLock { $0.begun }.last == .remove(NodeID(1)))
        }
    }
}
