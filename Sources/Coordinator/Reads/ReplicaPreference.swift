package import DataModel
import Synchronization

/// What the coordinator knows of each node's replicas: how busy they are with its requests, how quick, and whether they
/// failed a moment ago. Decides which replica to ask first, and when to ask a second one.
package final class ReplicaPreference: Sendable {
    /// For how long a node that failed is asked last. Long enough that the requests of one moment do not all run into
    /// it, short enough that nobody misses it when it is well again.
    package static let avoidance: Duration = .milliseconds(100)
    /// A node that loses to hedges again and again is asked last for twice as long each time, up to this.
    package static let longestAvoidance: Duration = .seconds(2)
    /// A second replica is asked when the first takes longer than this share of such reads.
    package static let hedgeQuantile: Float = 0.95
    /// Before this a hedge costs more than it gains: a busy machine lets a thread wait as long.
    package static let shortestHedgeDelay: Duration = .milliseconds(10)
    package static let longestHedgeDelay: Duration = .seconds(1)
    /// Before a kind of read is known; four times as much for each class of size.
    package static let firstHedgeDelay: Duration = .milliseconds(50)
    /// A replica that is silent for so long, and for a multiple of the hedge delay, hangs: another one is asked though
    /// the budget is spent.
    package static let silence: Duration = .milliseconds(500)
    /// This node's replica saves a round trip and the copying: another one must be this much better.
    package static let localAdvantage = 0.5
    /// What is known of a node counts half after this, so that one which was slow gets another chance.
    package static let halfLife: Duration = .seconds(2)

    private struct Node {
        var outstanding = 0
        var avoidUntil: ContinuousClock.Instant?
        /// Hedges in a row that answered before it.
        var losses = 0
        var latencies: [ReadKind: Latency] = [:]
    }

    private struct State {
        var nodes: [NodeID: Node] = [:]
        var budget: HedgeBudget
    }

    private let localNode: NodeID
    private let state: Mutex<State>

    /// - Parameter hedgeShare: how many reads in all may be sent to a second replica, see `HedgeBudget`.
    package init(localNode: NodeID, hedgeShare: Double = 0.1) {
        self.localNode = localNode
        state = Mutex(State(budget: HedgeBudget(share: hedgeShare)))
    }

    // MARK: - Which replica

    /// The nodes in the order to ask them: those without a fresh failure first, then by how long an answer is to be
    /// expected, this node first among equals.
    package func ordered(
        _ candidates: [NodeID], for kind: ReadKind = ReadKind(.copy), now: ContinuousClock.Instant = .now
    ) -> [NodeID] {
        guard candidates.count > 1 else { return candidates }
        return state.withLock { state in
            let keyed = candidates.map { node in
                let known = state.nodes[node] ?? Node()
                let isAvoided = known.avoidUntil.map { $0 > now } ?? false
                var cost = Double(known.outstanding + 1) * (known.latencies[kind]?.expected(now: now) ?? 0)
                if node == localNode { cost *= Self.localAdvantage }
                return (node, (isAvoided ? 1 : 0, cost, known.outstanding, node == localNode ? 0 : 1))
            }
            return keyed.sorted { $0.1 < $1.1 }.map(\.0)
        }
    }

    package func began(_ node: NodeID) {
        state.withLock { $0.nodes[node, default: Node()].outstanding += 1 }
    }

    package func ended(_ node: NodeID) {
        state.withLock { $0.nodes[node, default: Node()].outstanding -= 1 }
    }

    /// Remembers how long a good answer took.
    package func answered(_ node: NodeID, _ kind: ReadKind, in time: Duration, now: ContinuousClock.Instant = .now) {
        let seconds = time / .seconds(1)
        state.withLock { state in
            state.nodes[node, default: Node()].losses = 0
            state.nodes[node, default: Node()].latencies[kind, default: Latency(updatedAt: now)]
                .add(seconds: seconds, now: now)
        }
    }

    /// Nobody waits for the answer any more: it would have taken longer than this.
    package func gaveUp(_ node: NodeID, _ kind: ReadKind, after time: Duration, now: ContinuousClock.Instant = .now) {
        let seconds = time / .seconds(1)
        state.withLock { state in
            guard let known = state.nodes[node]?.latencies[kind], seconds > known.expected(now: now) else { return }
            state.nodes[node]?.latencies[kind]?.raise(to: seconds, now: now)
        }
    }

    /// The node failed: for a moment it is asked last.
    package func avoid(_ node: NodeID, now: ContinuousClock.Instant = .now) {
        state.withLock { $0.nodes[node, default: Node()].avoidUntil = now + Self.avoidance }
    }

    /// A hedge answered before the node did. Once is chance.
    package func lost(_ node: NodeID, now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            var known = state.nodes[node] ?? Node()
            known.losses += 1
            if known.losses > 1 {
                let doublings = min(known.losses - 2, 8)
                known.avoidUntil = now + min(Self.avoidance * (1 << doublings), Self.longestAvoidance)
            }
            state.nodes[node] = known
        }
    }

    // MARK: - When to ask a second one

    /// How long to wait for a replica before another one is asked as well.
    package func hedgeDelay(_ node: NodeID, _ kind: ReadKind) -> Duration {
        let learned = state.withLock { state in
            state.nodes[node]?.latencies[kind]?.distribution.quantile(Self.hedgeQuantile)
        }
        guard let learned else {
            return min(Self.firstHedgeDelay * (1 << (2 * min(kind.sizeClass, 4))), Self.longestHedgeDelay)
        }
        return min(max(.seconds(learned), Self.shortestHedgeDelay), Self.longestHedgeDelay)
    }

    /// How long after the hedge delay a replica may be silent when the budget is spent.
    package func silence(after hedgeDelay: Duration) -> Duration { max(Self.silence, hedgeDelay * 4) }

    /// A read of one shard begins.
    package func earnHedge() { state.withLock { $0.budget.earn() } }

    /// Whether one more read may be sent to a second replica.
    package func spendHedge() -> Bool { state.withLock { $0.budget.spend() } }
}

/// How long reads of one kind take on one node.
private struct Latency: Sendable {
    /// Moving average, in seconds.
    private var average = 0.0
    private var updatedAt: ContinuousClock.Instant
    private(set) var distribution = LatencyQuantile()

    init(updatedAt: ContinuousClock.Instant) { self.updatedAt = updatedAt }

    /// Seconds to expect; less and less when nothing was heard.
    func expected(now: ContinuousClock.Instant) -> Double {
        let age = (now - updatedAt) / ReplicaPreference.halfLife
        return average / (1 + max(age, 0))
    }

    mutating func add(seconds: Double, now: ContinuousClock.Instant) {
        average += average == 0 ? seconds : (seconds - average) / 8
        updatedAt = now
        distribution.add(seconds: seconds)
    }

    mutating func raise(to seconds: Double, now: ContinuousClock.Instant) {
        average = seconds
        updatedAt = now
    }
}
