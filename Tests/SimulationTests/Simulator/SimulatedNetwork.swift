import DataModel

/// Messages between nodes: late, out of order, doubled or lost, and cut off between some nodes in either direction.
final class SimulatedNetwork {
    struct Link: Hashable {
        let from: NodeID
        let to: NodeID
    }

    private unowned let simulation: Simulation
    /// No message passes here.
    var cut: Set<Link> = []
    var lossRate: Double
    var duplicationRate: Double
    /// Of messages that take fifty times as long as others.
    var straggleRate = 0.01

    init(_ simulation: Simulation) {
        self.simulation = simulation
        lossRate = simulation.profile.lossRate
        duplicationRate = simulation.profile.duplicationRate
    }

    /// Microseconds; nil when the message is lost.
    func delay(from: NodeID, to: NodeID) -> Int? {
        if cut.contains(Link(from: from, to: to)) || simulation.random.chance(lossRate) {
            // Half of what seems lost comes when nobody waits for it any more.
            return simulation.random.chance(0.5) ? simulation.random.within(100...8_000) * 1_000 : nil
        }
        if from == to { return simulation.random.within(1...100) }
        let usual = simulation.random.within(50...simulation.profile.latency)
        return simulation.random.chance(straggleRate) ? usual * 50 : usual
    }

    /// Asks `handler` on another node. `done` is called once, with its answer or with the failure, as long as the caller
    /// lives.
    func call<Answer>(
        from caller: SimulatedNode, to target: NodeID, timeout: Int,
        _ handler: @escaping (SimulatedNode, @escaping (Result<Answer, ShardError>) -> Void) -> Void,
        done: @escaping (Result<Answer, ShardError>) -> Void
    ) {
        var isDone = false
        let finish = { (result: Result<Answer, ShardError>) in
            if isDone { return }
            isDone = true
            done(result)
        }
        let process = caller.process
        process.after(timeout) { finish(.failure(.deadlineExceeded)) }
        let copies = simulation.random.chance(duplicationRate) ? 2 : 1
        for _ in 0..<copies {
            guard let delay = delay(from: caller.id, to: target) else {
                // Sometimes the sender's system notices.
                if simulation.random.chance(0.3) {
                    process.after(simulation.random.within(100...5_000)) {
                        finish(.failure(.unreachable(reason: "lost")))
                    }
                }
                continue
            }
            simulation.after(delay) { [self] in
                let node = simulation.node(target)
                guard node.isUp else {
                    return reply(from: target, to: process, caller.id) {
                        finish(.failure(.unreachable(reason: "refused")))
                    }
                }
                node.process.run { [self] in
                    handler(node) { [self] result in reply(from: target, to: process, caller.id) { finish(result) } }
                }
            }
        }
    }

    private func reply(from: NodeID, to process: SimulatedProcess, _ caller: NodeID, _ action: @escaping () -> Void) {
        guard let delay = delay(from: from, to: caller) else { return }
        process.after(delay, action)
    }
}
