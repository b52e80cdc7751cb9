import Foundation

/// Work that blocks its thread for long (fsync of large files, checksums, opening shards): Swift's own threads are as
/// few as the cores and must stay free.
enum Blocking {
    /// At start a node opens all its replicas: without a bound there would be a thread for each.
    private static let threads: OperationQueue = {
        let queue = OperationQueue()
        queue.name = "blocking"
        queue.maxConcurrentOperationCount = 16
        return queue
    }()

    static func run<Value: Sendable, Failure: Error>(
        _ work: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
            threads.addOperation {
                do throws(Failure) {
                    continuation.resume(returning: .success(try work()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }
}
