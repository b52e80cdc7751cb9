/// The moment after which nobody waits for the answer any more. Travels between nodes as the time that is left.
package struct Deadline: Sendable, Comparable {
    package let instant: ContinuousClock.Instant

    package init(_ instant: ContinuousClock.Instant) { self.instant = instant }

    package static func after(_ duration: Duration) -> Deadline { Deadline(ContinuousClock.now + duration) }

    package var remaining: Duration { instant - ContinuousClock.now }
    package var isPast: Bool { remaining <= .zero }
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.instant < rhs.instant }
}
