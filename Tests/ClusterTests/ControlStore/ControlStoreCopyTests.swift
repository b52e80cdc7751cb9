import Cluster
import DataModel
import Testing

/// A cluster's way from one control store to another and back, on whatever the two are.
@Suite struct ControlStoreCopyTests {
    /// From which to which.
    static var directions: [(ControlStoreKind, ControlStoreKind)] {
        ControlStoreKind.allCases.flatMap { from in ControlStoreKind.allCases.map { (from, $0) } }
    }

    private let patience = Duration.milliseconds(200)

    private func copy(_ from: any ControlStore, _ to: any ControlStore, name: String = "old") -> ControlStoreCopy {
        ControlStoreCopy(from: from, named: name, to: to, named: name == "old" ? "new" : "old")
    }

    private func found(_ id: String, in store: any ControlStore, records: Int = 300) async throws {
        try await store.put(ControlKey.cluster, value: ClusterRecord(id: id).encoded)
        for start in stride(from: 0, to: records, by: 100) {
            _ = try await store.transaction(
                guards: [], mutations: (start..<start + 100).map { .put(key: "shards/\($0)", value: [UInt8($0 % 251)]) }
            )
        }
    }

    /// Everything but the mark.
    private func records(_ store: any ControlStore) async throws -> [String: [UInt8]] {
        let entries = try await store.list("").entries.filter { $0.key != ControlKey.migration }
        return Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.value) })
    }

    private func mark(_ store: any ControlStore) async throws -> MigrationRecord.State? {
        try await store.get(ControlKey.migration).flatMap { MigrationRecord(encoded: $0.value) }?.state
    }

    @Test(arguments: directions)
    func thereAndBackEverythingIsTheSame(_ from: ControlStoreKind, _ to: ControlStoreKind) async throws {
        let fixtures = (try ControlStoreFixture(from), try ControlStoreFixture(to))
        let (old, new) = (try fixtures.0.client(), try fixtures.1.client())
        try await found("a", in: old)
        let summary = try await copy(old, new).run(patience: patience)
        #expect(summary.records == 301 && !summary.wasDone)
        #expect(try await records(new) == records(old))
        #expect(try await mark(old) == .left)
        #expect(try await mark(new) == nil)

        // The cluster goes on: what changes on the new store is not undone by a copy that was done.
        try await new.put("shards/0", value: [9])
        _ = try await new.transaction(guards: [], mutations: [.delete(key: "shards/1")])
        #expect(try await copy(old, new).run(patience: patience).wasDone)
        #expect(try await new.get("shards/0")?.value == [9])

        #expect(try await copy(new, old, name: "new").run(patience: patience).records == 300)
        #expect(try await records(new) == records(old))
        #expect(try await mark(new) == .left)
        #expect(try await mark(old) == nil)
        await old.close()
        await new.close()
        withExtendedLifetime(fixtures) {}
    }

    @Test(arguments: directions)
    func aCopyThatWasCutShortGoesOn(_ from: ControlStoreKind, _ to: ControlStoreKind) async throws {
        let fixtures = (try ControlStoreFixture(from), try ControlStoreFixture(to))
        let (old, new) = (try fixtures.0.client(), try fixtures.1.client())
        try await found("a", in: old)
        // What is there after the third step began: both marks, some records, and one that is out of date.
        let arriving = MigrationRecord(state: .arriving, other: "old").encoded
        try await new.put(ControlKey.migration, value: arriving)
        try await old.put(ControlKey.migration, value: MigrationRecord(state: .left, other: "new").encoded)
        try await new.put("shards/7", value: [200])
        try await new.put("shards/of before", value: [])
        #expect(try await !copy(old, new).run(patience: patience).wasDone)
        #expect(try await records(new) == records(old))
        #expect(try await mark(new) == nil)
        await old.close()
        await new.close()
        withExtendedLifetime(fixtures) {}
    }

    @Test(arguments: ControlStoreKind.allCases)
    func nothingIsCopiedWhileANodeRuns(_ kind: ControlStoreKind) async throws {
        let fixtures = try (0..<3).map { _ in try ControlStoreFixture(kind) }
        let (old, new) = (try fixtures[0].client(), try fixtures[1].client())
        try await found("a", in: old)
        let lease = try await old.grantLease(ttl: .seconds(60))
        try await old.put(ControlKey.live(NodeID(2)), value: [], lease: lease)
        await #expect(throws: ControlStoreCopy.Failure.nodesAreRunning([NodeID(2)])) {
            try await copy(old, new).run(patience: patience)
        }
        #expect(try await mark(old) == nil)
        #expect(try await new.list("").entries.isEmpty)
        try await old.revoke(lease)
        #expect(try await copy(old, new).run(patience: patience).records == 301)
        await old.close()
        await new.close()
        withExtendedLifetime(fixtures) {}
    }

    @Test(arguments: ControlStoreKind.allCases)
    func aStoreThatMayBeInUseIsNotOverwritten(_ kind: ControlStoreKind) async throws {
        let fixtures = try (0..<3).map { _ in try ControlStoreFixture(kind) }
        let (old, new) = (try fixtures[0].client(), try fixtures[1].client())
        await #expect(throws: ControlStoreCopy.Failure.sourceIsEmpty("old")) {
            try await copy(old, new).run(patience: patience)
        }
        try await found("a", in: old)
        try await found("b", in: new)
        await #expect(throws: ControlStoreCopy.Failure.targetIsTaken("new", cluster: "b")) {
            try await copy(old, new).run(patience: patience)
        }
        try await new.put(ControlKey.cluster, value: ClusterRecord(id: "a").encoded)
        await #expect(throws: ControlStoreCopy.Failure.targetIsTaken("new", cluster: "a")) {
            try await copy(old, new).run(patience: patience)
        }
        // A store that was left is no source.
        try await old.put(ControlKey.migration, value: MigrationRecord(state: .left, other: "x").encoded)
        let third = try fixtures[2].client()
        await #expect(throws: ControlStoreCopy.Failure.sourceIsNotCurrent("old", other: "x")) {
            try await copy(old, third).run(patience: patience)
        }
        for store in [old, new, third] { await store.close() }
        withExtendedLifetime(fixtures) {}
    }
}
