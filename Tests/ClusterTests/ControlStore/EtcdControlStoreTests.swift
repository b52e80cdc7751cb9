import Cluster
import DataModel
import Foundation
import Testing

@Suite(.enabled(if: EtcdMembers.areTested, "etcd is not installed")) struct EtcdControlStoreTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// Keeps adding one to a number by compare-and-swap.
    private func count(_ times: Int, in store: any ControlStore) async throws {
        var done = 0
        while done < times {
            let entry = try await store.get("n")
            let value = entry.flatMap { Int(String(decoding: $0.value, as: UTF8.self)) } ?? 0
            let outcome = try await store.compareAndSwap(
                "n", expected: entry?.modRevision, value: Array("\(value + 1)".utf8))
            if case .committed(let revision) = outcome {
                #expect(entry.map { $0.modRevision < revision } ?? true)
                done += 1
            }
        }
    }

    // MARK: - Answers that are lost

    /// A compare-and-swap whose answer is lost has happened; told that it failed, its caller would do it again.
    @Test func aChangeWhoseAnswerIsLostHappensOnce() async throws {
        let members = try EtcdMembers.shared.get()
        let prefix = "/\(UUID().uuidString)/"
        let proxy = try LossyProxy(to: members.ports[0], losingOneAnswerIn: 3)
        let (tasks, increments) = (3, 20)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<tasks {
                let store = try members.client(prefix: prefix, endpoints: [proxy.url])
                group.addTask {
                    try await count(increments, in: store)
                    await store.close()
                }
            }
            try await group.waitForAll()
        }
        #expect(proxy.lost > tasks * increments / 4)
        let store = try members.client(prefix: prefix)
        #expect(try await store.get("n")?.value == bytes("\(tasks * increments)"))
    }

    @Test func aLeaseWhoseGrantIsLostIsGrantedOnce() async throws {
        let members = try EtcdMembers.shared.get()
        // Not every other: of answers that arrive in two pieces that would be all.
        let proxy = try LossyProxy(to: members.ports[0], losingOneAnswerIn: 3)
        let store = try members.client(prefix: "/\(UUID().uuidString)/", endpoints: [proxy.url])
        for _ in 0..<5 {
            let lease = try await store.grantLease(ttl: .seconds(60))
            try await store.put("k", value: [], lease: lease)
            try await store.revoke(lease)
            #expect(try await store.get("k") == nil)
        }
        #expect(proxy.lost > 5)
        await store.close()
    }

    // MARK: - Several members

    @Test func readsWritesWatchesAndLeasesOutliveAMember() async throws {
        let members = try EtcdMembers(3)
        let (a, b) = (try members.client(), try members.client())
        // On a busy machine the members take seconds to agree on another leader.
        let lease = try await a.grantLease(ttl: .seconds(60))
        try await a.put("live", value: [], lease: lease)
        let start = try await a.latestRevision()
        let watcher = Task {
            var seen: [String] = []
            for await update in b.watch("k", after: start) {
                guard case .changed(let events, _) = update else {
                    Issue.record("\(update)")
                    break
                }
                for case .put(let entry) in events { seen.append(String(decoding: entry.value, as: UTF8.self)) }
                if seen.count >= 40 { break }
            }
            return seen
        }
        for n in 0..<40 {
            // The first endpoint is the one that both clients use.
            if n == 10 { members.kill(0) }
            try await a.put("k", value: bytes("\(n)"))
            try await a.keepAlive(lease)
        }
        #expect(await watcher.value == (0..<40).map(String.init))
        #expect(try await b.get("live") != nil)
        await a.close()
        await b.close()
    }

    /// The member's machine lost its power: connections stay open, and nothing comes any more.
    @Test func aWatchLeavesAMemberThatGivesNoSignOfLife() async throws {
        let members = try EtcdMembers.shared.get()
        let proxy = try LossyProxy(to: members.ports[0], losingOneAnswerIn: 0)
        let prefix = "/\(UUID().uuidString)/"
        let watching = try members.client(prefix: prefix, endpoints: [proxy.url] + members.endpoints)
        let writing = try members.client(prefix: prefix)
        try await writing.put("k", value: bytes("0"))
        let start = try await watching.latestRevision()
        var updates = watching.watch("", after: start).makeAsyncIterator()
        try await writing.put("k", value: bytes("1"))
        #expect(await updates.next()?.keys == ["k"])
        proxy.freeze()
        try await writing.put("after", value: bytes("2"))
        #expect(await updates.next()?.keys == ["after"])
        proxy.thaw()
        await watching.close()
        await writing.close()
    }

    // MARK: - History

    @Test func aWatchOfCompactedHistorySaysSoAndAListGoesOn() async throws {
        let members = try EtcdMembers(1)
        let store = try members.client()
        try await store.put("k", value: bytes("0"))
        let start = try await store.latestRevision()
        for n in 1...5 { try await store.put("k", value: bytes("\(n)")) }
        try members.compact(at: try await store.latestRevision().rawValue)
        var updates: [WatchUpdate] = []
        for await update in store.watch("", after: start) { updates.append(update) }
        #expect(updates == [.compacted])
        let (entries, revision) = try await store.list("")
        #expect(entries.map(\.value) == [bytes("5")])
        var later = store.watch("", after: revision).makeAsyncIterator()
        try await store.put("l", value: [])
        #expect(await later.next()?.keys == ["l"])
        await store.close()
    }

    /// The whole way: a state that fell behind a compaction is made current again, and what was deleted is gone from
    /// it.
    @Test func aStateThatFellBehindACompactionIsReadAnew() async throws {
        let members = try EtcdMembers(1)
        let (store, other) = (try members.client(), try members.client())
        for id in 1...3 { try await other.put(ControlKey.node(NodeID(UInt32(id))), value: node(id).encoded) }
        let cache = ClusterStateCache(store: store, logger: quiet)
        try await cache.load()
        #expect(cache.current.nodes.count == 3)
        _ = try await other.transaction(guards: [], mutations: [.delete(key: ControlKey.node(NodeID(2)))])
        try await other.put(ControlKey.node(NodeID(4)), value: node(4).encoded)
        try members.compact(at: try await other.latestRevision().rawValue)
        let follower = Task { await cache.run() }
        await eventually("the state is current") { cache.current.nodes.keys.sorted().map(\.rawValue) == [1, 3, 4] }
        try await other.put(ControlKey.node(NodeID(5)), value: node(5).encoded)
        await eventually("the watch goes on") { cache.current.nodes.count == 4 }
        follower.cancel()
        await follower.value
        await store.close()
        await other.close()
    }

    private func node(_ id: Int) -> NodeRecord {
        NodeRecord(id: NodeID(UInt32(id)), httpAddress: "h:1", rpcHost: "h", rpcPort: 2)
    }

    @Test func aLongListIsOfOneRevision() async throws {
        let fixture = try ControlStoreFixture(.etcd)
        let (store, other) = (try fixture.client(), try fixture.client())
        let keys = (0..<2_500).map { "k/\($0 + 10_000)" }
        for start in stride(from: 0, to: keys.count, by: 100) {
            _ = try await store.transaction(
                guards: [], mutations: keys[start..<start + 100].map { .put(key: $0, value: bytes("0")) })
        }
        // The first and the last key always change together, and are on different pages.
        let writer = Task {
            for n in 1...50 {
                _ = try await other.transaction(
                    guards: [],
                    mutations: [
                        .put(key: keys[0], value: Array("\(n)".utf8)),
                        .put(key: keys[2_499], value: Array("\(n)".utf8)),
                    ])
            }
        }
        for _ in 0..<10 {
            let (entries, revision) = try await store.list("k/")
            #expect(entries.map(\.key) == keys)
            #expect(entries.first?.value == entries.last?.value)
            #expect(entries.allSatisfy { $0.modRevision <= revision })
        }
        try await writer.value
    }

    // MARK: - Sharing and refusing

    @Test func clustersWithDifferentPrefixesDoNotSeeEachOther() async throws {
        let members = try EtcdMembers.shared.get()
        let name = UUID().uuidString
        let (a, b) = (try members.client(prefix: "/\(name)/a/"), try members.client(prefix: "/\(name)/b/"))
        try await a.put("k", value: bytes("a"))
        #expect(try await b.list("").entries.isEmpty)
        #expect(try await b.compareAndSwap("k", expected: nil, value: bytes("b")) != .conflict)
        #expect(try await a.list("").entries.map(\.value) == [bytes("a")])
    }

    @Test func anEtcdThatIsNotThereIsNamed() async throws {
        var options = EtcdOptions(endpoints: ["http://127.0.0.1:1"], prefix: "/x/")
        options.patience = .milliseconds(300)
        let store = try EtcdControlStore(options: options, logger: quiet)
        do {
            _ = try await store.get("k")
            Issue.record("nobody listens there")
        } catch {
            #expect(error.description.contains("http://127.0.0.1:1"))
            #expect(error.description.contains("control.etcd.endpoints"))
        }
        await store.close()
    }

    @Test func aMemberOfAnotherClusterIsNotUsed() async throws {
        let (ours, foreign) = (try EtcdMembers(1), try EtcdMembers.shared.get())
        // Once it is up.
        let first = try ours.client()
        try await first.put("k", value: [])
        await first.close()
        let store = try ours.client(endpoints: ours.endpoints + foreign.endpoints, patience: .seconds(2))
        try await store.put("k", value: [])
        ours.kill(0)
        await #expect(throws: ControlStoreError.self) { try await store.get("k") }
        #expect(try await foreign.client().get("k") == nil)
        await store.close()
    }

    @Test func aChangeThatIsTooLargeIsRefusedAtOnce() async throws {
        let fixture = try ControlStoreFixture(.etcd)
        let store = try fixture.client()
        await #expect(throws: ControlStoreError.self) {
            try await store.put("k", value: [UInt8](repeating: 1, count: 2 << 20))
        }
        try await store.put("k", value: [UInt8](repeating: 1, count: 1 << 20))
        #expect(try await store.get("k")?.value.count == 1 << 20)
    }
}

extension WatchUpdate {
    fileprivate var keys: [String]? {
        guard case .changed(let events, _) = self else { return nil }
        return events.map(\.key)
    }
}
