package import DataModel

/// Moves a cluster's records from one control store to another while no node runs.
///
/// The steps, each of which may be the last before a crash; run again, the copy goes on:
/// 1. The target is marked as `arriving`: no node starts on it.
/// 2. The source is marked as `left`: no node starts on it either. A node announces itself under the guard that there
///    is no mark, and the copy looks for announcements after the mark is set, so one of the two sees the other.
/// 3. Records are put into the target, and what else is there is deleted, until both are equal.
/// 4. The target's mark is taken away. The source keeps its own.
///
/// What is attached to leases is not copied: it is about processes that run.
package struct ControlStoreCopy: Sendable {
    package enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        /// The nodes that hold a lease in one of the stores.
        case nodesAreRunning([NodeID])
        case sourceIsEmpty(String)
        /// It says itself that it is out of date or incomplete.
        case sourceIsNotCurrent(String, other: String)
        /// It holds the records of a cluster that may be in use.
        case targetIsTaken(String, cluster: String)
        /// Somebody else changed a store during the copy.
        case interfered(String)
        case store(ControlStoreError)

        package var description: String {
            switch self {
            case .nodesAreRunning(let nodes):
                "nodes are running: \(nodes.map(\.description).joined(separator: ", ")); stop them all first, "
                    + "with `shoal down`"
            case .sourceIsEmpty(let name): "there are no records of a cluster in \(name)"
            case .sourceIsNotCurrent(let name, let other):
                "\(name) is not the cluster's present control store; \(other) is, or was to be"
            case .targetIsTaken(let name, let cluster):
                "\(name) holds the records of cluster \(cluster) already, and is not marked as one that was left: take "
                    + "another prefix or data folder, or copy in the other direction"
            case .interfered(let name): "\(name) was changed during the copy: run it again, alone"
            case .store(let error): error.description
            }
        }
    }

    package struct Summary: Sendable, Equatable {
        package var records: Int
        /// Whether there was nothing left to do.
        package var wasDone: Bool
    }

    private typealias Contents = (records: [String: [UInt8]], migration: ControlEntry?, live: [NodeID])

    /// Bytes of values in one transaction; etcd takes one and a half times as much.
    private static let batchBytes = 1 << 20
    private static let poll = Duration.milliseconds(100)

    let source: any ControlStore
    let sourceName: String
    let target: any ControlStore
    let targetName: String

    /// - Parameter sourceName: what the source is, for an operator; likewise `targetName`.
    package init(
        from source: any ControlStore, named sourceName: String, to target: any ControlStore, named targetName: String
    ) {
        self.source = source
        self.sourceName = sourceName
        self.target = target
        self.targetName = targetName
    }

    /// Copies all, or does the rest of a copy that was cut short.
    ///
    /// - Parameter patience: how long nodes that were killed may still count as running.
    package func run(patience: Duration) async throws(Failure) -> Summary {
        let old = try await waitForNodes(patience: patience)
        guard let cluster = Self.cluster(old) else { throw .sourceIsEmpty(sourceName) }
        let new = try await contents(of: target)
        if try isDone(old, new, cluster) { return Summary(records: new.records.count, wasDone: true) }
        guard new.live.isEmpty else { throw .nodesAreRunning(new.live) }

        let mark = try await setMark(
            .arriving, in: target, named: targetName, other: sourceName, replacing: new.migration)
        let left = try await setMark(.left, in: source, named: sourceName, other: targetName, replacing: old.migration)
        let fixed = try await contents(of: source)
        guard fixed.live.isEmpty else {
            try await removeMark(left, from: source, named: sourceName)
            throw .nodesAreRunning(fixed.live)
        }
        try await transfer(fixed.records, mark: mark)
        guard try await contents(of: target).records == fixed.records,
            try await contents(of: source).records == fixed.records
        else { throw .interfered(targetName) }
        try await removeMark(mark, from: target, named: targetName)
        return Summary(records: fixed.records.count, wasDone: false)
    }

    // MARK: - Looking

    private func contents(of store: any ControlStore) async throws(Failure) -> Contents {
        let entries: [ControlEntry]
        do {
            entries = try await store.list("").entries
        } catch {
            throw .store(error)
        }
        var contents: Contents = ([:], nil, [])
        for entry in entries {
            if entry.key == ControlKey.migration {
                contents.migration = entry
            } else if case .live(let node) = ControlKey.Parsed(entry.key) {
                contents.live.append(node)
            } else if entry.lease == nil {
                contents.records[entry.key] = entry.value
            }
        }
        return contents
    }

    private func waitForNodes(patience: Duration) async throws(Failure) -> Contents {
        let deadline = ContinuousClock.now + patience
        while true {
            let found = try await contents(of: source)
            if found.live.isEmpty { return found }
            guard ContinuousClock.now < deadline, (try? await Task.sleep(for: Self.poll)) != nil else {
                throw .nodesAreRunning(found.live)
            }
        }
    }

    private static func cluster(_ contents: Contents) -> String? {
        contents.records[ControlKey.cluster].flatMap { ClusterRecord(encoded: $0)?.id }
    }

    private static func state(_ contents: Contents) -> MigrationRecord? {
        contents.migration.flatMap { MigrationRecord(encoded: $0.value) }
    }

    /// - Returns: whether the copy was made before.
    /// - Throws: `sourceIsNotCurrent`, `targetIsTaken`.
    private func isDone(_ old: Contents, _ new: Contents, _ cluster: String) throws(Failure) -> Bool {
        let other = Self.cluster(new)
        if let foreign = other, foreign != cluster { throw .targetIsTaken(targetName, cluster: foreign) }
        let (from, to) = (Self.state(old), Self.state(new))
        switch (from?.state, to?.state) {
        // Never begun, or cut short before the source was marked.
        case (nil, .arriving): return false
        // A target that was left earlier is out of date.
        case (nil, .left) where other == cluster: return false
        case (nil, nil):
            if new.records.isEmpty { return false }
            throw .targetIsTaken(targetName, cluster: other ?? "without an identity")
        case (.left, .arriving): return false
        case (.left, nil) where other == cluster: return true
        default: throw .sourceIsNotCurrent(sourceName, other: from?.other ?? targetName)
        }
    }

    // MARK: - Marking

    /// - Returns: the mark's revision.
    private func setMark(
        _ state: MigrationRecord.State, in store: any ControlStore, named name: String, other: String,
        replacing old: ControlEntry?
    ) async throws(Failure) -> Revision {
        let outcome = try await change(
            store, [ControlGuard(key: ControlKey.migration, expected: old?.modRevision)],
            [.put(key: ControlKey.migration, value: MigrationRecord(state: state, other: other).encoded)])
        guard case .committed(let revision) = outcome else { throw .interfered(name) }
        return revision
    }

    private func removeMark(
        _ revision: Revision, from store: any ControlStore, named name: String
    ) async throws(Failure) {
        let outcome = try await change(
            store, [ControlGuard(key: ControlKey.migration, expected: revision)],
            [.delete(key: ControlKey.migration)])
        guard case .committed = outcome else { throw .interfered(name) }
    }

    // MARK: - Copying

    /// Makes the target's records those that are given, in guarded batches.
    private func transfer(_ records: [String: [UInt8]], mark: Revision) async throws(Failure) {
        let present = try await contents(of: target).records
        var mutations: [ControlMutation] = records.filter { present[$0.key] != $0.value }
            .sorted { $0.key < $1.key }.map { .put(key: $0.key, value: $0.value) }
        mutations += present.keys.filter { records[$0] == nil }.sorted().map { .delete(key: $0) }
        while !mutations.isEmpty {
            var (count, bytes) = (0, 0)
            for mutation in mutations.prefix(ControlLimits.transactionOperations) {
                if case .put(_, let value, _) = mutation { bytes += value.count }
                if bytes > Self.batchBytes && count > 0 { break }
                count += 1
            }
            let outcome = try await change(
                target, [ControlGuard(key: ControlKey.migration, expected: mark)], Array(mutations.prefix(count)))
            guard case .committed = outcome else { throw .interfered(targetName) }
            mutations.removeFirst(count)
        }
    }

    private func change(
        _ store: any ControlStore, _ guards: [ControlGuard], _ mutations: [ControlMutation]
    ) async throws(Failure) -> TransactionOutcome {
        do {
            return try await store.transaction(guards: guards, mutations: mutations)
        } catch {
            throw .store(error)
        }
    }
}
