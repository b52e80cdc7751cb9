import DataModel

/// What a replica weighs.
package struct ReplicaLoad: Sendable, Equatable {
    package var points: UInt64
    package var bytes: UInt64
    /// Microseconds of searching in a second, measured over the last minute.
    package var searchMicroseconds: UInt64

    package init(points: UInt64, bytes: UInt64, searchMicroseconds: UInt64 = 0) {
        self.points = points
        self.bytes = bytes
        self.searchMicroseconds = searchMicroseconds
    }

    func value(_ measure: BalanceMeasure) -> UInt64 {
        switch measure {
        case .points: points
        case .bytes: bytes
        case .load: searchMicroseconds
        }
    }

    static func += (sum: inout ReplicaLoad, other: ReplicaLoad) {
        sum.points += other.points
        sum.bytes += other.bytes
        sum.searchMicroseconds += other.searchMicroseconds
    }

    /// - Precondition: `other` is part of the sum.
    static func -= (sum: inout ReplicaLoad, other: ReplicaLoad) {
        sum.points -= other.points
        sum.bytes -= other.bytes
        sum.searchMicroseconds -= other.searchMicroseconds
    }
}

extension BalanceMeasure {
    /// Nodes that differ by less than this, or by a fifth of the mean, are even enough: moving costs more than it
    /// brings.
    var tolerated: UInt64 {
        switch self {
        case .points: 10_000
        case .bytes: 64 << 20
        case .load: 50_000
        }
    }

    func text(_ value: UInt64) -> String {
        switch self {
        case .points: "\(value) points"
        case .bytes: "\(value >> 20) MiB"
        case .load: "\(value / 10_000) % of a core's searches"
        }
    }
}
