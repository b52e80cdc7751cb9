/// Until when, by its own clock, a node surely holds its lease. Pure: times are given, counted from any fixed moment of
/// a clock that goes on while the process or the machine sleeps.
///
/// The time counts from before the last successful keep-alive was sent, less a margin: so it ends before the control
/// store's own count does, and whoever takes over cannot overlap with us.
package struct LeaseTerm: Sendable, Equatable {
    /// The share of the lease that is given away for differences between clocks.
    package static let marginShare = 0.1

    private var validUntil: Duration?

    package init() {}

    package func holds(at now: Duration) -> Bool { validUntil.map { $0 > now } ?? false }

    /// - Parameter sentAt: before the keep-alive that succeeded was sent.
    package mutating func renewed(sentAt: Duration, ttl: Duration) {
        validUntil = sentAt + ttl * (1 - Self.marginShare)
    }

    package mutating func lost() { validUntil = nil }
}
