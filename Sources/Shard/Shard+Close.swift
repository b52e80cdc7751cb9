internal import DataModel
internal import Synchronization

extension Shard {
    /// Lets the writes at hand finish, stores the graphs, and stops all work on the shard. Writes and reads that come
    /// later are refused. The environments close when the last search that uses them ends.
    package func close() async {
        queue.withLock { $0.close() }
        await withCheckedContinuation { continuation in
            writer.async {
                // Behind the last group: the queue is closed, so no other follows.
                while self.commitGroup() {}
                self.sync()
                let generation = self.generation
                generation.checkpointAll()
                self.isClosed.store(true, ordering: .releasing)
                generation.isClosed.store(true, ordering: .releasing)
                continuation.resume()
            }
        }
        await endCompaction()
    }
}
