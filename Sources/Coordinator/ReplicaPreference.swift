import DataModel
import Synchronization

/// What the coordinator knows of each node's replicas: how busy they are with its requests, how quick, and whether they
/// failed a moment ago. Decides which replica to ask first.
final class ReplicaPreference: Sendable {
    /// For how long a node that failed or did not answer is asked last. Long enough that the requests of one moment do
    /// not all run into it, short enough that nobody misses it when it is well again.
    static let avoidance: Duration = .milliseconds(100)
    /// A second replica is asked when the first has not answered after this many times the usual...
    static let hedgeMultiple = 8.0
    /// ...but not before this: below it a hedge costs more than it gains.
    static let minimumHedgeDelay: Duration = .milliseconds(50)

    private struct Node {
        var outstanding = 0
        var avoidUntil: ContinuousClock.Instant?
    }

    private struct State {
        var nodes: [NodeID: Node] = [:]
        /// Moving average over reads, in seconds per search of the request.
        var usualSeconds = 0.0
    }

    private let localNode: NodeID
    private let state = Mutex(State())

    init(localNode: NodeID) { self.localNode = localNode }

    /// The nodes in the order to ask them: those without a fresh failure first, then by fewest outstanding requests,
    /// this node first among equals.
    func ordered(_ candidates: [NodeID], now: ContinuousClock.Instant = .now) -> [NodeID] {
        guard candidates.count > 1 else { return candidates }
        return state.withLock { state in
            let keyed = candidates.map { node in
                let known = state.nodes[node] ?? Node()
                let avoided = known.avoidUntil.map { $0 > now } ?? false
                return (node, (avoided ? 1 : 0, known.outstanding, node == localNode ? 0 : 1))
            }
            return keyed.sorted { $0.1 < $1.1 }.map(\.0)
        }
    }

    func began(_ node: NodeID) {
        state.withLock { $0.nodes[node, default: Node()].outstanding += 1 }
    }

    func ended(_ node: NodeID) {
        state.withLock { $0.nodes[node, default: Node()].outstanding -= 1 }
    }

    /// Remembers how long a good answer took. `units`: how many searches the request carried.
    func answered(in time: Duration, units: Int) {
        let seconds = time / .seconds(1) / Double(max(units, 1))
        state.withLock { state in
            state.usualSeconds += (seconds - state.usualSeconds) / 16
        }
    }

    func avoid(_ node: NodeID, now: ContinuousClock.Instant = .now) {
        state.withLock { $0.nodes[node, default: Node()].avoidUntil = now + Self.avoidance }
    }

    /// How long to wait for a replica before another one is asked as well.
    func hedgeDelay(units: Int) -> Duration {
        let usual = state.withLock { $0.usualSeconds }
        return max(Self.minimumHedgeDelay, .seconds(usual * Self.hedgeMultiple * Double(max(units, 1))))
    }
}
