import Cluster
import DataModel
import Foundation
import Testing

@Suite struct LMDBControlStoreTests {
    @Test func aDeadOwnersLeaseEndsLongBeforeItsTime() async throws {
        let fixture = try ControlStoreFixture(.lmdb)
        let survivor = try fixture.client()
        let victim = try LMDBControlStore.open(folder: fixture.folder, logger: quiet)
        let lease = try await victim.grantLease(ttl: .seconds(3_600))
        try await victim.put("live/1", value: [1], lease: lease)
        #expect(try await survivor.get("live/1") != nil)
        victim.abandon()
        try await eventually("the dead owner's key vanishes") { try await survivor.get("live/1") == nil }
        await #expect(throws: ControlStoreError.leaseExpired(lease)) { try await survivor.keepAlive(lease) }
    }

    /// The same with a real process: the lock's file is held by a child that is then killed.
    @Test func aKilledProcessLetsGoOfItsLease() async throws {
        let fixture = try ControlStoreFixture(.lmdb)
        let survivor = try fixture.client()
        let owner = try LMDBControlStore.open(folder: fixture.folder, logger: quiet)
        let lease = try await owner.grantLease(ttl: .seconds(3_600))
        try await owner.put("live/2", value: [2], lease: lease)
        // The child inherits the open file and so shares the lock; it is then the only one that holds it.
        let path = fixture.folder + "/locks/" + String(lease.rawValue, radix: 16)
        let child = try #require(try LockSharingChild(path: path))
        owner.abandon()
        #expect(try await survivor.get("live/2") != nil)
        let deadline = ContinuousClock.now + .milliseconds(300)
        while ContinuousClock.now < deadline {
            #expect(try await survivor.get("live/2") != nil)
            try await Task.sleep(for: .milliseconds(20))
        }
        child.kill()
        try await eventually("the killed owner's key vanishes") { try await survivor.get("live/2") == nil }
    }

    @Test func aStoreThatIsOpenedAgainHasEverythingAndEndsOldLeases() async throws {
        let fixture = try ControlStoreFixture(.lmdb)
        let first = try fixture.client()
        let lease = try await first.grantLease(ttl: .seconds(3_600))
        try await first.put("kept", value: [1])
        try await first.put("leased", value: [2], lease: lease)
        let revision = try await first.latestRevision()
        await first.close()
        let second = try fixture.client()
        #expect(try await second.get("kept")?.value == [1])
        #expect(try await second.latestRevision() >= revision)
        try await eventually("the closed store's lease ends") { try await second.get("leased") == nil }
    }

    @Test func aWatchThatIsTooFarBehindIsToldToListAnew() async throws {
        let fixture = try ControlStoreFixture(.lmdb)
        let store = try fixture.client()
        try await store.put("first", value: [])
        let start = try await store.latestRevision()
        // Transactions of many keys fill the log quickly.
        for round in 0..<40 {
            _ = try await store.transaction(
                guards: [],
                mutations: (0..<ControlLimits.transactionOperations).map { .put(key: "k/\($0)", value: [UInt8(round)]) }
            )
        }
        var updates: [WatchUpdate] = []
        for await update in store.watch("", after: start) { updates.append(update) }
        #expect(updates == [.compacted])
        let (entries, revision) = try await store.list("")
        #expect(entries.count == ControlLimits.transactionOperations + 1)
        guard case .changed([], upTo: revision) = try await store.changes("", after: revision) else {
            Issue.record("a fresh list is current")
            return
        }
        // A position of the future comes from another store.
        #expect(try await store.changes("", after: Revision(revision.rawValue + 1_000)) == .compacted)
    }

    @Test func keysThatAreTooLongAreRefusedAndNothingElseIs() async throws {
        let fixture = try ControlStoreFixture(.lmdb)
        let store = try fixture.client()
        try await store.put(String(repeating: "k", count: 503), value: [])
        await #expect(throws: ControlStoreError.self) {
            try await store.put(String(repeating: "k", count: 504), value: [])
        }
        let lease = try await store.grantLease(ttl: .seconds(60))
        try await store.put(String(repeating: "l", count: 503), value: [], lease: lease)
        #expect(try await store.list("").entries.count == 2)
    }
}

/// A child process that has inherited an open, locked file and does nothing.
private final class LockSharingChild {
    private let process: Process

    init?(path: String) throws {
        // This process holds the lock through a descriptor; find it and pass it on as the child's standard input.
        let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap(Int32.init)
        let held = descriptors.first {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)"))
                .map { URL(filePath: $0).resolvingSymlinksInPath().path }
                == URL(filePath: path).resolvingSymlinksInPath().path
        }
        guard let held else { return nil }
        process = Process()
        process.executableURL = URL(filePath: "/bin/sleep")
        process.arguments = ["600"]
        process.standardInput = FileHandle(fileDescriptor: held, closeOnDealloc: false)
        try process.run()
    }

    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
