/// What a rebalance evens out between nodes.
package enum BalanceMeasure: String, Sendable, Codable, CaseIterable {
    case points
    case bytes
    /// How much of a processor the searches of the last minute took.
    case load
}
