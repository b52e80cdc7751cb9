import Cluster
import DataModel

/// Writes and reads one after the other through nodes of its choice, as coordinators do it for real clients.
final class SimulatedClient {
    private unowned let simulation: Simulation
    private static let timeout = 3_000_000
    private var isStopped = false

    init(_ simulation: Simulation) { self.simulation = simulation }

    func stop() { isStopped = true }

    func next() {
        guard !isStopped else { return }
        simulation.after(simulation.random.within(1_000...60_000)) { [self] in
            guard !isStopped else { return }
            let key = simulation.random.within(0...simulation.profile.keys - 1)
            if simulation.random.chance(0.5) {
                read(key) { [self] in next() }
            } else {
                write(anyWrite(of: key)) { [self] _ in next() }
            }
        }
    }

    private func anyWrite(of key: Int) -> SimulatedWrite {
        let value = UInt64(simulation.newNumber())
        return switch simulation.random.within(0...9) {
        case 0, 1: .remove(key: key)
        case 2: .removeIf(key: key, value: value - min(value, UInt64(simulation.random.within(0...5))))
        default: .set(key: key, value: value)
        }
    }

    /// Each try counts as a write of its own: a value written twice could not be told from one that came back.
    func write(_ operation: SimulatedWrite, done: @escaping (Bool) -> Void) {
        guard let (node, record) = route(operation.key), node.cache.isLive(record.primary) else {
            simulation.judge.figures.failedWrites += 1
            return done(false)
        }
        let deadline = simulation.now + Self.timeout
        once(deadline: deadline, done: done) { [self] finish in
            simulation.network.call(from: node, to: record.primary, timeout: Self.timeout) { target, reply in
                target.withReplica(
                    of: record.id, { $0.write(operation, epoch: record.epoch, deadline: deadline, reply: reply) },
                    else: { reply(.failure($0)) })
            } done: { (result: Result<LogPosition, ShardError>) in
                if case .success = result { finish(true) } else { finish(false) }
            }
        } onFailure: { [self] in
            simulation.judge.figures.failedWrites += 1
        }
    }

    func read(_ key: Int, done: @escaping () -> Void) {
        guard let (node, record) = route(key),
            let replica = record.inSync.filter({ node.cache.isLive($0) }).randomElement(using: &simulation.random)
        else {
            simulation.judge.figures.failedReads += 1
            return done()
        }
        let duty = simulation.judge.beginRead(of: key)
        once(deadline: simulation.now + Self.timeout, done: { _ in done() }) { [self] finish in
            simulation.network.call(from: node, to: replica, timeout: Self.timeout) { target, reply in
                target.withReplica(
                    of: record.id, { $0.read(epoch: record.epoch, reply: reply) }, else: { reply(.failure($0)) })
            } done: { [self] (result: Result<SimulatedFiles, ShardError>) in
                guard case .success(let files) = result else { return finish(false) }
                simulation.judge.endRead(duty, of: record.id, files: files, from: replica)
                finish(true)
            }
        } onFailure: { [self] in
            simulation.judge.figures.failedReads += 1
        }
    }

    /// A node that is up, and what it knows of the shard that a key is in.
    private func route(_ key: Int) -> (SimulatedNode, ShardRecord)? {
        guard let node = simulation.nodes.filter(\.isUp).randomElement(using: &simulation.random),
            let routing = node.cache.routing(of: simulation.collection),
            let index = routing.shardIndex(of: simulation.virtualShard(of: key))
        else { return nil }
        return (node, routing.shards[index].value)
    }

    /// The node that coordinates may die; a client hears of that by its own patience.
    private func once(
        deadline: Int, done: @escaping (Bool) -> Void, _ body: (@escaping (Bool) -> Void) -> Void,
        onFailure: @escaping () -> Void
    ) {
        var isDone = false
        let finish = { (success: Bool) in
            if isDone { return }
            isDone = true
            if !success { onFailure() }
            done(success)
        }
        simulation.after(deadline - simulation.now) { finish(false) }
        body(finish)
    }
}
