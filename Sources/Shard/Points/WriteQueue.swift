internal import DataModel

/// The writes that wait for the next group commit.
struct WriteQueue {
    enum Request: Sendable {
        /// A primary's write, which gets the next sequence in this epoch.
        /// For a delete by filter with the rows that a view had which pass.
        case append(WriteRequest, Epoch, MatchingRows?)
        /// A backup's, whose positions the primary gave.
        case apply([LogRecord])
    }

    struct Entry: Sendable {
        let request: Request
        let continuation: CheckedContinuation<Result<Answer, ShardError>, Never>
    }

    /// What became of a request in a commit that is durable.
    struct Answer: Sendable {
        /// What was written; nothing, when it was refused or done before.
        var records: [LogRecord] = []
        var outcome: WriteOutcome
    }

    /// A group that is larger than this is cut: LMDB keeps a transaction's dirty pages in memory.
    static let maximumGroupBytes = 32 << 20

    private var entries: [Entry] = []
    /// Whether the writer is at work or has been called; it takes entries until there are none.
    private var isWriterActive = false
    private(set) var isClosed = false

    /// Adds a write; true when the writer must be called.
    mutating func add(_ entry: Entry) -> Bool {
        entries.append(entry)
        defer { isWriterActive = true }
        return !isWriterActive
    }

    mutating func close() { isClosed = true }

    /// The next group, in the order in which the writes came; nil, and the writer rests, when there is none.
    mutating func takeGroup() -> [Entry]? {
        guard !entries.isEmpty else {
            isWriterActive = false
            return nil
        }
        var bytes = 0
        var count = 0
        while count < entries.count, bytes < Self.maximumGroupBytes {
            bytes += entries[count].request.estimatedBytes
            count += 1
        }
        defer { entries.removeFirst(count) }
        return Array(entries[..<count])
    }
}

extension WriteQueue.Request {
    /// Whether it has to be known if it was done before.
    var hasName: Bool {
        switch self {
        case .append(let request, _, _): request.stamp != nil || request.operation.bringsNames
        case .apply: false
        }
    }

    var estimatedBytes: Int {
        switch self {
        case .append(let request, _, _): request.estimatedBytes
        case .apply(let records): records.reduce(0) { $0 + $1.operation.estimatedBytes }
        }
    }
}

extension WriteOperation {
    fileprivate var bringsNames: Bool {
        if case .adopt(_, _, let requests) = self { !requests.isEmpty } else { false }
    }
}
