import Glibc

/// An estimate of a quantile of how long requests take: a histogram whose buckets grow by a fifth, and in which what is
/// older counts less. Pure.
package struct LatencyQuantile: Sendable {
    /// Fewer samples say nothing of one in twenty.
    package static let minimumSamples: Float = 20
    /// When so many are counted, all are halved: the last thousand or so count.
    package static let window: Float = 1_024

    /// Upper bound of the first bucket, in seconds; shorter requests are all alike.
    private static let first = 50e-6
    private static let growth = 1.2
    /// The last bucket begins at about 25 minutes.
    private static let bucketCount = 96

    private var counts = [Float](repeating: 0, count: bucketCount)
    private var total: Float = 0

    package init() {}

    package mutating func add(seconds: Double) {
        let index = seconds > Self.first ? Int(log(seconds / Self.first) / log(Self.growth)) + 1 : 0
        counts[min(index, Self.bucketCount - 1)] += 1
        total += 1
        guard total >= Self.window else { return }
        for bucket in counts.indices { counts[bucket] /= 2 }
        total /= 2
    }

    /// The upper bound, in seconds, of the bucket that the quantile lies in: at most a fifth too much. Nil before enough
    /// is known.
    ///
    /// - Parameter share: 0...1.
    package func quantile(_ share: Float) -> Double? {
        guard total >= Self.minimumSamples else { return nil }
        var left = total * share
        for (bucket, count) in counts.enumerated() {
            left -= count
            if left <= 0 { return Self.first * pow(Self.growth, Double(bucket)) }
        }
        return Self.first * pow(Self.growth, Double(Self.bucketCount - 1))
    }
}
