import Cluster
import DataModel
import Logging
import Shard

extension PrimaryShell {
    /// An answer to the handshake takes no work: a backup that needs longer is hung.
    private static let openTimeout: Duration = .seconds(2)

    /// Detached from the request that caused it: what goes on between replicas outlives it, and is not of its books.
    func perform(_ action: PrimaryAction, swapGuards: [ControlGuard]) {
        switch action {
        case .open(let node): Task.detached { await self.open(node) }
        case .send(let node, let position): Task.detached { await self.send(to: node, after: position) }
        case .sendSnapshot(let node): Task.detached { await self.sendSnapshot(to: node) }
        case .compareAndSwap(let expected, let record):
            Task.detached { await self.swap(expected, record, guards: swapGuards) }
        case .refreshRecord: Task.detached { await self.refreshRecord() }
        case .acknowledge, .rejectPending: break
        case .stepDown(let reason):
            environment.logger.info("Stepped down as primary of \(id): \(reason)")
        }
    }

    func context(timeout: Duration) -> RequestContext {
        RequestContext(epoch: record.epoch, deadline: .after(timeout))
    }

    private func open(_ node: NodeID) async {
        do throws(ShardError) {
            let state = try await environment.backup(id, node).openReplica(context: context(timeout: Self.openTimeout))
            feed(.backupOpened(node, state, epochHere: epochHere(of: state.position.sequence)))
        } catch {
            feed(.backupFailed(node, BackupFailure(error)))
        }
    }

    private func epochHere(of sequence: SequenceNumber) -> Epoch? {
        sequence == .zero ? LogPosition.start.epoch : shard.epoch(of: sequence)
    }

    private func send(to node: NodeID, after position: LogPosition) async {
        do throws(ShardError) {
            if wantsGraph(node, at: position) { return feed(.logTrimmed(node)) }
            var pace = TransferPace(bytesPerSecond: transferLimit(for: node))
            let began = ContinuousClock.now
            let batchBytes = pace.chunkBytes(atMost: Self.batchBytes)
            guard let records = try shard.logRecords(after: position.sequence, maxBytes: batchBytes) else {
                return feed(.logTrimmed(node))
            }
            let state = try await environment.backup(id, node).replicate(
                records, after: position, context: context(timeout: environment.options.replicationTimeout))
            if pace.bytesPerSecond != nil {
                let bytes = Self.bytes(of: records)
                // One that is nearly there is not held up: writes may wait for it.
                if bytes >= batchBytes / 2 { await pause(pace.pause(after: bytes, elapsed: .now - began)) }
            }
            feed(.backupAcked(node, state))
        } catch {
            feed(.backupFailed(node, BackupFailure(error)))
        }
    }

    /// From this many points on a replica that has nothing gets a snapshot, and the graph with it, though the log
    /// reaches back to the beginning: indexing takes much longer than sending.
    private static let pointsForSnapshot: UInt64 = 1_000

    private func wantsGraph(_ node: NodeID, at position: LogPosition) -> Bool {
        position.sequence == .zero && record.replica(on: node)?.state == .catchingUp
            && shard.count() >= Self.pointsForSnapshot
    }

    // MARK: - Limits

    /// A pause looks so often whether it is still wanted.
    private static let longestPause: Duration = .seconds(1)

    /// What a replica that is not in sync may be sent in a second; nil for no limit.
    func transferLimit(for node: NodeID) -> UInt64? {
        guard record.replica(on: node)?.state == .catchingUp else { return nil }
        return operation(serving: node)?.maxBytesPerSecond ?? environment.maximumTransferBytesPerSecond
    }

    /// The operation that gives the node its replica, if one does.
    func operation(serving node: NodeID) -> OperationRecord? {
        environment.cache.current.openOperations.first {
            $0.value.kind.shard == id && $0.value.kind.target == node
        }?.value
    }

    func pause(_ duration: Duration) async {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end, !isOver, !Task.isCancelled {
            try? await Task.sleep(for: min(Self.longestPause, end - .now))
        }
    }

    private static func bytes(of records: [LogRecord]) -> Int {
        records.reduce(0) { sum, record in
            var writer = BinaryWriter()
            record.encode(to: &writer)
            return sum + writer.bytes.count
        }
    }

    private func swap(_ expected: Revision, _ record: ShardRecord, guards: [ControlGuard]) async {
        do throws(ControlStoreError) {
            let key = ControlKey.shard(id)
            let outcome = try await environment.cache.store.transaction(
                guards: [ControlGuard(key: key, expected: expected)] + guards,
                mutations: [.put(key: key, value: record.encoded)])
            switch outcome {
            case .committed(let revision):
                environment.logger.info(
                    "Shard \(id): epoch \(record.epoch), primary \(record.primary), in sync \(record.inSync)")
                feed(.recordChanged(Stored(record, revision: revision)))
                follow(environment.cache.current)
                // Requests that are answered from now on are checked against the new record, where that is cheap.
                if environment.cache.store.latestRevisionIsCheap { try await environment.cache.refreshIfStale() }
            case .conflict:
                await refreshRecord()
                feed(.swapFailed(reason: "the record was changed by another node"))
            }
        } catch {
            feed(.swapFailed(reason: error.description))
        }
    }

    private func refreshRecord() async {
        do throws(ControlStoreError) {
            follow(try await environment.cache.refreshIfStale())
        } catch {
            environment.logger.warning("Shard \(id): the record cannot be read: \(error)")
        }
    }

    private func sendSnapshot(to node: NodeID) async {
        let sender = SnapshotSender(shell: self, node: node)
        do throws(ShardError) {
            feed(.snapshotInstalled(node, try await sender.run()))
        } catch {
            environment.logger.warning("Shard \(id): the snapshot for node \(node) failed: \(error)")
            feed(.backupFailed(node, BackupFailure(error)))
        }
        setCopyFloor(nil, for: node)
    }
}
