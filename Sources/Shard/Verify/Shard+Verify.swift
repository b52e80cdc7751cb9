package import DataModel
internal import Dispatch
internal import Foundation
internal import Logging
internal import Synchronization

extension Shard {
    /// Verifies the shard while reads and writes go on, at the full speed of a thread of low priority.
    ///
    /// - Throws: `notServing` when the shard is closed meanwhile, or the error that kept the verification from its work;
    ///   damage is in the report.
    package func verify() async throws(ShardError) -> VerificationReport {
        let result: Result<VerificationReport, ShardError> = await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(
                    returning: Result { () throws(ShardError) in
                        try self.verify(bytesPerSecond: nil)
                    })
            }
        }
        return try result.get()
    }

    /// What a verification in the background reads in a second: little of what a disk can do.
    private static var backgroundBytesPerSecond: Int { 32 << 20 }

    /// Begins a verification in the background when the last one was long ago.
    func verifyIfDue() {
        let isDue = lastVerified.withLock { last in
            guard .now - last >= options.verifyInterval else { return false }
            last = .now
            return true
        }
        guard isDue, !isClosed.load(ordering: .acquiring) else { return }
        runtime.verification.submit { [weak self] in
            guard let self else { return }
            do throws(ShardError) {
                let report = try verify(bytesPerSecond: Self.backgroundBytesPerSecond)
                logger.info("verified", metadata: ["shard": "\(folder)", "report": "\(report.summary)"])
            } catch {
                logger.warning("a verification ended early", metadata: ["shard": "\(folder)", "error": "\(error)"])
            }
        }
    }

    /// On the calling thread, which sleeps so that no more than `bytesPerSecond` are read.
    func verify(bytesPerSecond: Int?) throws(ShardError) -> VerificationReport {
        let generation = generation
        let verification = ShardVerification(
            store: generation.store, index: generation.index, schema: schema,
            pace: { bytes in
                if self.isClosed.load(ordering: .acquiring) { throw CancellationError() }
                if let bytesPerSecond, bytes > 0 {
                    Thread.sleep(forTimeInterval: Double(bytes) / Double(bytesPerSecond))
                }
            })
        let report = try storing {
            do {
                var report = VerificationReport()
                try verification.run(&report)
                return report
            } catch is CancellationError {
                throw ShardError.notServing(reason: "the shard is closed")
            }
        }
        act(on: report)
        return report
    }

    /// Damage to the truth ends the shard's service. A damaged index is left behind by a compaction, which builds a new
    /// one; until then searches find what it still leads to, by sound vectors.
    private func act(on report: VerificationReport) {
        if let finding = report.findings.first { return noteDamage(.corrupted(reason: finding)) }
        guard let finding = report.indexFindings.first else { return }
        logger.error("the index is damaged and is built anew", metadata: ["shard": "\(folder)", "reason": "\(finding)"])
        beginCompaction()
    }

    /// Verifies a shard that is not open in any process, as it is: nothing in its folder changes.
    ///
    /// - Throws: `storage` when there is none. Files that cannot be opened are in the report.
    package static func verify(folder: String) throws(ShardError) -> VerificationReport {
        try storing {
            guard let files = GenerationFiles.current(in: folder) else {
                throw ShardError.storage(reason: "there is no shard in \(folder)")
            }
            let options = ShardOptions()
            var report = VerificationReport()
            var opened: (store: PointStore, schema: ShardSchema)?
            report.noting("points") { _ in
                let store = try PointStore(folder: files.points, options: options, isReadOnly: true)
                opened = (store, try store.loadSchema())
            }
            var index: IndexStore?
            report.noting("index") { _ in
                index = try IndexStore(folder: files.index, options: options, isReadOnly: true)
            }
            guard let (store, schema) = opened else { return report }
            try ShardVerification(store: store, index: index, schema: schema, pace: { _ in }).run(&report)
            return report
        }
    }
}
