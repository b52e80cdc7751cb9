/// The books of a node's memory for requests in flight: who has how much, and who waits for more. Pure.
///
/// What is taken never exceeds the capacity. A request takes memory twice: when it arrives, for its body as it is sent,
/// and when it goes on, for all that is made of it. What has arrived and waits to go on may hold a quarter of the capacity
/// only, and none may need more than three quarters to go on: so what is under way can always come to its end.
package struct MemoryLedger: Sendable {
    package enum Purpose: Sendable { case arrival, progress }

    package typealias Ticket = UInt64

    private struct Waiter: Sendable {
        let ticket: Ticket
        let bytes: Int
    }

    package let capacity: Int
    /// Never more than `capacity`.
    package private(set) var taken = 0
    /// The part of it that bodies have which wait to go on; never more than `largestArrivals`.
    package private(set) var arrived = 0
    /// In the order in which they came; those that go on are served first, since they give back soonest.
    private var progressing: [Waiter] = []
    private var arriving: [Waiter] = []

    package init(capacity: Int) { self.capacity = capacity }

    package var largestArrivals: Int { capacity / 4 }

    package var waiting: Int { progressing.count + arriving.count }

    /// Whether the bytes are taken at once: nobody who came before waits for the same.
    package mutating func take(_ bytes: Int, for purpose: Purpose) -> Bool {
        guard isNext(purpose), fits(bytes, purpose) else { return false }
        grant(bytes, purpose)
        return true
    }

    package mutating func wait(_ ticket: Ticket, for bytes: Int, _ purpose: Purpose) {
        let waiter = Waiter(ticket: ticket, bytes: bytes)
        switch purpose {
        case .arrival: arriving.append(waiter)
        case .progress: progressing.append(waiter)
        }
    }

    /// Gives bytes back.
    ///
    /// - Parameter arrived: how many of them were taken for an arrival, and still count as one.
    /// - Returns: who has now what it waited for.
    package mutating func give(_ bytes: Int, arrived: Int = 0) -> [Ticket] {
        precondition(bytes <= taken && arrived <= self.arrived, "only what was taken is given back")
        taken -= bytes
        self.arrived -= arrived
        return serve()
    }

    /// The bytes that were taken for an arrival are not such any more.
    package mutating func goOn(_ bytes: Int) -> [Ticket] {
        precondition(bytes <= arrived, "only what arrived goes on")
        arrived -= bytes
        return serve()
    }

    /// Whether the ticket was still waiting, which it does not any more. Who comes behind it may be served.
    package mutating func giveUp(_ ticket: Ticket) -> (wasWaiting: Bool, served: [Ticket]) {
        let before = waiting
        progressing.removeAll { $0.ticket == ticket }
        arriving.removeAll { $0.ticket == ticket }
        guard waiting < before else { return (false, []) }
        return (true, serve())
    }

    private mutating func serve() -> [Ticket] {
        var served: [Ticket] = []
        while let first = progressing.first, fits(first.bytes, .progress) {
            grant(first.bytes, .progress)
            served.append(progressing.removeFirst().ticket)
        }
        guard progressing.isEmpty else { return served }
        while let first = arriving.first, fits(first.bytes, .arrival) {
            grant(first.bytes, .arrival)
            served.append(arriving.removeFirst().ticket)
        }
        return served
    }

    private func isNext(_ purpose: Purpose) -> Bool {
        purpose == .progress ? progressing.isEmpty : progressing.isEmpty && arriving.isEmpty
    }

    private func fits(_ bytes: Int, _ purpose: Purpose) -> Bool {
        let room = capacity - taken
        return purpose == .progress ? bytes <= room : bytes <= min(room, largestArrivals - arrived)
    }

    private mutating func grant(_ bytes: Int, _ purpose: Purpose) {
        taken += bytes
        if purpose == .arrival { arrived += bytes }
    }
}
