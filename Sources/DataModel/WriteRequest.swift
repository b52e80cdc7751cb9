internal import CXXHash

/// A write as a client asks for it, or the part of it that is one shard's: on which conditions, and under which name.
package struct WriteRequest: Sendable, Equatable {
    package var operation: WriteOperation
    /// All hold before the write, or nothing of it is done.
    package var conditions: [WriteCondition]
    /// A write that the shard has done under this name is not done again.
    package var stamp: RequestStamp?

    package init(_ operation: WriteOperation, conditions: [WriteCondition] = [], stamp: RequestStamp? = nil) {
        self.operation = operation
        self.conditions = conditions
        self.stamp = stamp
    }

    /// The same write under a name that a client gave it.
    package func named(_ name: RequestName) -> WriteRequest {
        var named = self
        named.stamp = nil
        let digest = named.encoded(capacity: estimatedBytes).withUnsafeBytes { shoal_xxh3($0.baseAddress, $0.count) }
        named.stamp = RequestStamp(name: name, digest: digest)
        return named
    }
}

/// What must be so of a point for a write to be done.
package struct WriteCondition: Sendable, Equatable {
    package var id: PointID
    /// The sequence of the write that made the point as it is; zero: there is no such point.
    package var version: SequenceNumber

    package init(id: PointID, version: SequenceNumber) {
        self.id = id
        self.version = version
    }
}

/// A condition that did not hold.
package struct VersionConflict: Sendable, Equatable, CustomStringConvertible {
    package var point: PointID
    package var expected: SequenceNumber
    /// Zero: there is no such point.
    package var actual: SequenceNumber

    package init(point: PointID, expected: SequenceNumber, actual: SequenceNumber) {
        self.point = point
        self.expected = expected
        self.actual = actual
    }

    package var description: String {
        let present = actual == .zero ? "it does not exist" : "it has version \(actual)"
        let wanted = expected == .zero ? "it must not exist" : "version \(expected) is expected"
        return "point \(point): \(wanted), and \(present)"
    }
}
