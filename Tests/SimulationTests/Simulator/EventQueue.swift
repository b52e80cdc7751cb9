/// What is to happen, earliest first; what is due at the same moment in the order in which it was planned.
struct EventQueue {
    private struct Event {
        let time: Int
        let order: Int
        let action: () -> Void

        func isBefore(_ other: Event) -> Bool { (time, order) < (other.time, other.order) }
    }

    /// A binary heap.
    private var events: [Event] = []
    private var planned = 0

    var isEmpty: Bool { events.isEmpty }

    mutating func add(at time: Int, _ action: @escaping () -> Void) {
        planned += 1
        events.append(Event(time: time, order: planned, action: action))
        var child = events.count - 1
        while child > 0, events[child].isBefore(events[(child - 1) / 2]) {
            events.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func removeFirst() -> (time: Int, action: () -> Void)? {
        guard let first = events.first, let last = events.popLast() else { return nil }
        if !events.isEmpty {
            events[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2]
                where child < events.count && events[child].isBefore(events[least]) { least = child }
                if least == parent { break }
                events.swapAt(parent, least)
                parent = least
            }
        }
        return (first.time, first.action)
    }

    mutating func removeAll() { events = [] }
}
