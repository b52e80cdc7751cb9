/// How much searching a replica did over the last minute, in buckets of five seconds.
package struct SearchLoad: Sendable {
    private static let bucketSeconds: UInt64 = 5
    private static let bucketCount: UInt64 = 12

    /// Microseconds by the number of the bucket, modulo their count.
    private var buckets = [UInt64](repeating: 0, count: Int(bucketCount))
    private var newest: UInt64
    private let startSeconds: UInt64

    /// - Parameter seconds: by a clock that never goes back, as all times here.
    package init(atSeconds seconds: UInt64 = 0) {
        startSeconds = seconds
        newest = seconds / Self.bucketSeconds
    }

    package mutating func add(microseconds: UInt64, atSeconds seconds: UInt64) {
        advance(to: seconds)
        buckets[Int(newest % Self.bucketCount)] += microseconds
    }

    /// Of the last minute, or since the beginning when that is less.
    package mutating func microsecondsPerSecond(atSeconds seconds: UInt64) -> UInt64 {
        advance(to: seconds)
        let window = Self.bucketSeconds * Self.bucketCount
        let age = seconds > startSeconds ? seconds - startSeconds : 0
        return buckets.reduce(0, +) / max(1, min(window, age))
    }

    private mutating func advance(to seconds: UInt64) {
        let bucket = seconds / Self.bucketSeconds
        guard bucket > newest else { return }
        for number in newest + 1...min(bucket, newest + Self.bucketCount) {
            buckets[Int(number % Self.bucketCount)] = 0
        }
        newest = bucket
    }
}
