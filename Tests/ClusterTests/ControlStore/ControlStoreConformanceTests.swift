import Cluster
import DataModel
import Testing

/// What every control store promises, checked through two clients, as two nodes have them.
@Suite("Every control store") struct ControlStoreConformanceTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    // MARK: - Keys

    @Test(arguments: ControlStoreKind.allCases)
    func whatOneClientPutsTheOtherReadsAtOnce(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let (a, b) = (try fixture.client(), try fixture.client())
        #expect(try await b.get("k") == nil)
        for round in 0..<20 {
            let outcome = try await a.put("k", value: bytes("\(round)"))
            let entry = try await b.get("k")
            #expect(entry?.value == bytes("\(round)"))
            #expect(entry.map { .committed($0.modRevision) } == outcome)
        }
        try await a.put("empty", value: [])
        #expect(try await b.get("empty")?.value == [])
        await a.close()
        await b.close()
    }

    @Test(arguments: ControlStoreKind.allCases)
    func listsAreOrderedAndKeepToTheirPrefix(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let store = try fixture.client()
        for key in ["b/2", "a", "b/1", "b", "c", "b/10", "b0"] { try await store.put(key, value: bytes(key)) }
        #expect(try await store.list("b/").entries.map(\.key) == ["b/1", "b/10", "b/2"])
        #expect(try await store.list("").entries.map(\.key) == ["a", "b", "b/1", "b/10", "b/2", "b0", "c"])
        #expect(try await store.list("nothing").entries.isEmpty)
        let (entries, revision) = try await store.list("b/")
        #expect(entries.allSatisfy { $0.modRevision <= revision })
        #expect(try await store.latestRevision() >= revision)
    }

    @Test(arguments: ControlStoreKind.allCases)
    func aTransactionDoesAllOrNothing(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let store = try fixture.client()
        let first = try await store.transaction(
            guards: [ControlGuard(key: "a", expected: nil)],
            mutations: [.put(key: "a", value: bytes("1")), .put(key: "b", value: bytes("1"))])
        guard case .committed(let revision) = first else {
            Issue.record("the keys did not exist")
            return
        }
        #expect(try await store.get("a")?.modRevision == revision)
        #expect(try await store.get("b")?.modRevision == revision)
        let refused = try await store.transaction(
            guards: [ControlGuard(key: "a", expected: revision), ControlGuard(key: "b", expected: nil)],
            mutations: [.delete(key: "a"), .put(key: "c", value: [])])
        #expect(refused == .conflict)
        #expect(try await store.get("a") != nil)
        #expect(try await store.get("c") == nil)
        let last = try await store.transaction(
            guards: [ControlGuard(key: "a", expected: revision), ControlGuard(key: "c", expected: nil)],
            mutations: [.delete(key: "a"), .put(key: "b", value: bytes("2"))])
        #expect(last != .conflict)
        #expect(try await store.list("").entries.map(\.key) == ["b"])
        #expect(try await store.compareAndSwap("b", expected: revision, value: []) == .conflict)
    }

    @Test(arguments: ControlStoreKind.allCases)
    func aDeletedAndRemadeKeyIsAnotherOne(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let store = try fixture.client()
        try await store.put("k", value: bytes("x"))
        let old = try await store.get("k")?.modRevision
        _ = try await store.transaction(guards: [], mutations: [.delete(key: "k")])
        try await store.put("k", value: bytes("x"))
        #expect(try await store.compareAndSwap("k", expected: old, value: bytes("y")) == .conflict)
        #expect(try await store.compareAndSwap("k", expected: nil, value: bytes("y")) == .conflict)
    }

    @Test(arguments: ControlStoreKind.allCases)
    func racingIncrementsAreAllCounted(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let clients = [try fixture.client(), try fixture.client(), try fixture.client()]
        let (tasks, increments) = (6, 15)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<tasks {
                let store = clients[task % clients.count]
                group.addTask {
                    var done = 0
                    while done < increments {
                        let entry = try await store.get("n")
                        let value = entry.flatMap { Int(String(decoding: $0.value, as: UTF8.self)) } ?? 0
                        let outcome = try await store.compareAndSwap(
                            "n", expected: entry?.modRevision, value: Array("\(value + 1)".utf8))
                        if outcome != .conflict { done += 1 }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await clients[0].get("n")?.value == bytes("\(tasks * increments)"))
    }

    // MARK: - Watches

    @Test(arguments: ControlStoreKind.allCases)
    func aWatchSeesEveryChangeInOrderFromAPastRevision(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let (a, b) = (try fixture.client(), try fixture.client())
        try await a.put("w/before", value: [])
        let start = try await a.list("w/").revision
        for n in 0..<10 { try await a.put("w/k", value: bytes("\(n)")) }
        try await a.put("other", value: [])
        let writer = Task {
            for n in 10..<20 { try await a.put("w/k", value: Array("\(n)".utf8)) }
            _ = try await a.transaction(guards: [], mutations: [.delete(key: "w/k")])
        }
        var seen: [ControlEvent] = []
        var position = start
        watch: for await update in b.watch("w/", after: start) {
            guard case .changed(let events, let revision) = update else {
                Issue.record("\(update)")
                break
            }
            #expect(revision > position)
            #expect(events.allSatisfy { $0.revision > position && $0.revision <= revision })
            position = revision
            seen += events
            if case .delete = seen.last { break watch }
        }
        try await writer.value
        let values = seen.compactMap { event in
            if case .put(let entry) = event { String(decoding: entry.value, as: UTF8.self) } else { nil }
        }
        #expect(values == (0..<20).map(String.init))
        #expect(seen.map(\.revision) == seen.map(\.revision).sorted())
        #expect(Set(seen.map(\.key)) == ["w/k"])
    }

    @Test(arguments: ControlStoreKind.allCases)
    func changesTellWhatAStateIsMissing(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let (a, b) = (try fixture.client(), try fixture.client())
        try await a.put("x", value: bytes("1"))
        let revision = try await b.latestRevision()
        try await a.put("x", value: bytes("2"))
        #expect(try await b.latestRevision() > revision)
        switch try await b.changes("", after: revision) {
        case .changed(let events, _): #expect(events.map(\.key) == ["x"])
        case .compacted: break
        case .failed(let error): throw error
        }
    }

    // MARK: - Leases

    @Test(arguments: ControlStoreKind.allCases)
    func aLeaseThatIsNotKeptAliveTakesItsKeysAlong(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let (a, b) = (try fixture.client(), try fixture.client())
        var lease: LeaseID
        var start: Revision
        // Again when the lease ended meanwhile, on a busy machine: its end must come after `start`.
        repeat {
            lease = try await leaseOnKeys(["l/1", "l/2", "l/3"], of: a)
            // Put again without the lease: it no longer depends on it.
            try await a.put("l/3", value: [4])
            start = try #require(try await b.get("l/3")).modRevision
        } while try await b.get("l/1") == nil
        try await eventually("the keys vanish") { try await b.list("l/").entries.map(\.key) == ["l/3"] }
        await #expect(throws: ControlStoreError.leaseExpired(lease)) { try await a.keepAlive(lease) }
        await #expect(throws: ControlStoreError.leaseExpired(lease)) { try await a.put("l/1", value: [], lease: lease) }
        for await update in b.watch("l/", after: start) {
            guard case .changed(let events, _) = update, !events.isEmpty else { continue }
            // Both went in one revision.
            #expect(events.map(\.key).sorted() == ["l/1", "l/2"])
            #expect(Set(events.map(\.revision)).count == 1)
            break
        }
    }

    /// A short lease with keys; on a busy machine it may take several attempts to attach them in time.
    private func leaseOnKeys(_ keys: [String], of store: any ControlStore) async throws -> LeaseID {
        var lease = try await store.grantLease(ttl: .seconds(1))
        while await !attach(keys, to: lease, in: store) { lease = try await store.grantLease(ttl: .seconds(1)) }
        return lease
    }

    private func attach(_ keys: [String], to lease: LeaseID, in store: any ControlStore) async -> Bool {
        for key in keys where (try? await store.put(key, value: [1], lease: lease)) == nil { return false }
        return true
    }

    /// Keeps the lease alive for twice its time. False when this process did not get to run often enough for that.
    ///
    /// - Parameter granted: before the lease was asked for.
    private func keepAlive(
        _ lease: LeaseID, granted: ContinuousClock.Instant, ttl: Duration, of store: any ControlStore,
        check: () async throws -> Void
    ) async throws -> Bool {
        let end = ContinuousClock.now + ttl * 2
        var last = granted
        while last < end {
            let begun = ContinuousClock.now
            do {
                try await store.keepAlive(lease)
            } catch ControlStoreError.unavailable {
                // A busy machine: the lease has the time that it had.
                continue
            } catch ControlStoreError.leaseExpired {
                // etcd's own clock may be a moment ahead.
                #expect(ContinuousClock.now - last >= ttl - .milliseconds(100))
                return false
            }
            last = begun
            try await check()
            try await Task.sleep(for: .milliseconds(50))
        }
        return true
    }

    @Test(arguments: ControlStoreKind.allCases)
    func aLeaseThatIsKeptAliveOutlivesItsTime(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let (a, b) = (try fixture.client(), try fixture.client())
        let ttl = Duration.seconds(2)
        var lease = try await a.grantLease(ttl: .seconds(60))
        var granted = ContinuousClock.now
        repeat {
            try await a.revoke(lease)
            granted = .now
            lease = try await a.grantLease(ttl: ttl)
        } while try await !keepAlive(lease, granted: granted, ttl: ttl, of: a) { _ = try await b.latestRevision() }
        // Twice its time is over; what is attached now lives as before.
        let begun = ContinuousClock.now
        if (try? await a.keepAlive(lease)) != nil, case .committed? = try? await a.put("k", value: [], lease: lease) {
            let found = try await b.get("k")
            #expect(found != nil || ContinuousClock.now - begun >= ttl)
        }
        try await a.revoke(lease)
        #expect(try await b.get("k") == nil)
        await #expect(throws: ControlStoreError.leaseExpired(lease)) { try await a.keepAlive(lease) }
        try await a.revoke(lease)
    }

    @Test(arguments: ControlStoreKind.allCases)
    func onlyOneClientTakesARole(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let clients = try (0..<3).map { _ in try fixture.client() }
        let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
            for store in clients {
                group.addTask {
                    let lease = try await store.grantLease(ttl: .seconds(60))
                    return try await store.compareAndSwap("role", expected: nil, value: [], lease: lease) != .conflict
                }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(winners == 1)
    }

    @Test(arguments: ControlStoreKind.allCases)
    func aClosedClientSaysSo(_ kind: ControlStoreKind) async throws {
        let fixture = try ControlStoreFixture(kind)
        let store = try fixture.client()
        let watch = store.watch("", after: .zero)
        await store.close()
        await #expect(throws: ControlStoreError.closed) { try await store.get("k") }
        await #expect(throws: ControlStoreError.closed) { try await store.put("k", value: []) }
        for await _ in watch {}
    }
}
