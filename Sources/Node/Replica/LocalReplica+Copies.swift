import DataModel
import Glibc
import Shard
import Synchronization

/// A hot copy that a node reads in pieces, to put it into a snapshot of the whole collection.
struct OutgoingCopy: Sendable {
    let copy: SnapshotCopy
    let folder: String
    /// A reader that is gone for this long does not come back.
    static let patience: Duration = .seconds(60)
    var expires = ContinuousClock.now + patience
}

extension LocalReplica {
    func takeSnapshot(context: RequestContext) async throws(ShardError) -> SnapshotCopy {
        try await serving(context) { (shard) throws(ShardError) in
            let transfer = UInt64.random(in: 1 ... .max)
            let folder = environment.folder.transfer(transfer)
            do throws(ShardError) {
                let copy = try await copy(shard, transfer: transfer, to: folder)
                state.withLock { $0.copies[transfer] = OutgoingCopy(copy: copy, folder: folder) }
                return copy
            } catch {
                try? Files.remove(folder)
                throw error
            }
        }
    }

    private func copy(
        _ shard: Shard, transfer: UInt64, to folder: String
    ) async throws(ShardError) -> SnapshotCopy {
        do throws(FileError) {
            try Files.createFolder(folder)
        } catch {
            throw ShardError(error)
        }
        let (position, files) = try await shard.copySnapshot(to: folder)
        let checksums = try await Blocking.run { () throws(ShardError) in
            var checksums: [String: UInt64] = [:]
            for file in files { checksums[file.name] = try FileChecksum.xxh3(of: Self.path(of: file.name, in: folder)) }
            return checksums
        }
        return SnapshotCopy(
            offer: SnapshotOffer(transfer: transfer, position: position, files: files), checksums: checksums)
    }

    private static func path(of file: String, in folder: String) -> String {
        Shard.snapshotFolder(file, in: folder) + "/data.mdb"
    }

    func readSnapshot(_ piece: SnapshotPiece, deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let folder: String? = state.withLock { state in
            guard var copy = state.copies[piece.transfer],
                copy.copy.offer.files.contains(where: { $0.name == piece.file })
            else { return nil }
            copy.expires = .now + OutgoingCopy.patience
            state.copies[piece.transfer] = copy
            return copy.folder
        }
        guard let folder else { throw .notServing(reason: "the copy of the replica is gone") }
        let path = Self.path(of: piece.file, in: folder)
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ShardError(FileError(operation: "open \(path)", code: errno)) }
        defer { Glibc.close(descriptor) }
        do throws(FileError) {
            let count = min(Int(piece.count), SnapshotSender.chunkBytes)
            return try Files.read(count, at: piece.offset, from: descriptor, path: path)
        } catch {
            throw ShardError(error)
        }
    }

    func dropSnapshot(_ transfer: UInt64, deadline: Deadline) async throws(ShardError) {
        drop(state.withLock { $0.copies.removeValue(forKey: transfer) }.map { [$0] } ?? [])
    }

    /// To be called now and then.
    func dropForgottenCopies() {
        let forgotten: [OutgoingCopy] = state.withLock { state in
            guard !state.copies.isEmpty else { return [] }
            let forgotten = state.copies.filter { $0.value.expires < .now }
            for transfer in forgotten.keys { state.copies[transfer] = nil }
            return Array(forgotten.values)
        }
        drop(forgotten)
    }

    func dropCopies() {
        let copies = state.withLock { state in
            defer { state.copies = [:] }
            return Array(state.copies.values)
        }
        drop(copies)
    }

    /// In the background: large files take a while to be freed.
    private func drop(_ copies: [OutgoingCopy]) {
        guard !copies.isEmpty else { return }
        Task {
            await Blocking.run { () -> Void in for copy in copies { try? Files.remove(copy.folder) } }
        }
    }
}
