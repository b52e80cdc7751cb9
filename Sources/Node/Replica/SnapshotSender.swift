import Cluster
import DataModel
import Foundation
import Glibc
import Logging
import Shard

/// Replaces all that a backup has by a hot copy of the primary's shard.
struct SnapshotSender {
    /// Bytes in one message. Each waits for its answer, which is the flow control.
    static let chunkBytes = 1 << 20
    private static let chunkTimeout: Duration = .seconds(10)
    /// The receiver syncs and checks all files before it answers.
    private static let finishTimeout: Duration = .seconds(300)
    private static let progressInterval: Duration = .milliseconds(250)

    let shell: PrimaryShell
    let node: NodeID

    /// - Returns: what the backup is after the swap.
    func run() async throws(ShardError) -> BackupState {
        let environment = shell.environment
        // The operation is about to fail.
        if let reason = environment.cache.lackOfRoom(for: shell.id, copiedTo: node) {
            throw .outOfSpace(reason: reason)
        }
        let transfer = UInt64.random(in: 1 ... .max)
        let folder = environment.transfers.transfer(transfer)
        defer { try? Files.remove(folder) }
        // Nothing that the copy lacks may leave the log before the state machine knows the copy's position.
        shell.setCopyFloor(shell.shard.position.sequence, for: node)
        let (position, files) = try await makeCopy(in: folder)
        shell.feed(.snapshotTaken(node, position))
        shell.setCopyFloor(nil, for: node)

        let backup = environment.backup(shell.id, node)
        let offer = SnapshotOffer(transfer: transfer, position: position, files: files)
        try await backup.beginSnapshot(offer, context: shell.context(timeout: Self.chunkTimeout))
        var progress = Progress(total: files.reduce(0) { $0 + $1.bytes })
        progress.pace = TransferPace(bytesPerSecond: shell.transferLimit(for: node))
        let began = ContinuousClock.now
        var checksums: [String: UInt64] = [:]
        for file in files {
            let path = Shard.snapshotFolder(file.name, in: folder) + "/data.mdb"
            try await send(file, path: path, transfer: transfer, to: backup, began: began, &progress)
            checksums[file.name] = try await Blocking.run { () throws(ShardError) in
                try FileChecksum.xxh3(of: path)
            }
        }
        await write(progress)
        return try await backup.finishSnapshot(
            transfer: transfer, checksums: checksums, context: shell.context(timeout: Self.finishTimeout))
    }

    private func makeCopy(in folder: String) async throws(ShardError) -> (LogPosition, [SnapshotFile]) {
        do throws(ShardError) {
            do throws(FileError) {
                try Files.createFolder(folder)
            } catch {
                throw ShardError(error)
            }
            return try await shell.shard.copySnapshot(to: folder)
        } catch {
            // The backup tells of its own lack of room.
            let environment = shell.environment
            await environment.cache.noteLackOfRoom(error, on: environment.node, for: shell.id, copiedTo: node)
            throw error
        }
    }

    private func send(
        _ file: SnapshotFile, path: String, transfer: UInt64, to backup: any ReplicaService,
        began: ContinuousClock.Instant, _ progress: inout Progress
    ) async throws(ShardError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ShardError(FileError(operation: "open \(path)", code: errno)) }
        defer { close(descriptor) }
        var offset: UInt64 = 0
        while offset < file.bytes {
            guard !shell.isOver else { throw .notPrimary }
            let bytes: [UInt8]
            do throws(FileError) {
                let count = min(UInt64(progress.pace.chunkBytes(atMost: Self.chunkBytes)), file.bytes - offset)
                bytes = try Files.read(Int(count), at: offset, from: descriptor, path: path)
            } catch {
                throw ShardError(error)
            }
            guard !bytes.isEmpty else { throw .storage(reason: "\(path) is shorter than its snapshot said") }
            let chunk = SnapshotChunk(transfer: transfer, file: file.name, offset: offset, bytes: bytes)
            try await backup.receiveSnapshot(chunk, context: shell.context(timeout: Self.chunkTimeout))
            offset += UInt64(bytes.count)
            progress.done += UInt64(bytes.count)
            if progress.isDue { await write(progress) }
            await shell.pause(progress.pace.pause(after: bytes.count, elapsed: .now - began))
        }
    }

    // MARK: - Progress

    private struct Progress {
        var done: UInt64 = 0
        let total: UInt64
        var pace = TransferPace(bytesPerSecond: nil)
        private var next = ContinuousClock.now

        init(total: UInt64) { self.total = total }

        var isDue: Bool {
            mutating get {
                guard ContinuousClock.now >= next else { return false }
                next = .now + SnapshotSender.progressInterval
                return true
            }
        }
    }

    /// Tells how far the operation is. Losing it matters to nobody.
    private func write(_ progress: Progress) async {
        guard let operation = shell.operation(serving: node) else { return }
        _ = try? await shell.environment.cache.store.put(
            ControlKey.progress(operation.id),
            value: OperationProgress(bytesDone: progress.done, bytesTotal: progress.total).encoded)
    }
}
