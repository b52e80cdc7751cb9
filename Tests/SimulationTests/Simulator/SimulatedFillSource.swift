import Cluster
import DataModel

/// A shard that another one is filled from, and how far it was read: what `FillSource` does.
final class SimulatedFillSource {
    private static let timeout = 10_000_000
    private static let patience = 15_000_000
    private static let pause = 50_000

    typealias Reply<Answer> = (Result<Answer, ShardError>) -> Void

    let id: ShardID
    private let owned: VirtualShardSet
    private let reader: ShardNumber
    private unowned let node: SimulatedNode
    /// The epoch that the pages of points were read in.
    private var epoch: Epoch?
    private(set) var position = LogPosition.start
    private var pagesEnd = SequenceNumber.zero
    private(set) var acknowledged = SequenceNumber.zero

    init(_ id: ShardID, _ owned: VirtualShardSet, reader: ShardNumber, _ node: SimulatedNode) {
        (self.id, self.owned, self.reader, self.node) = (id, owned, reader, node)
    }

    private var simulation: Simulation { node.simulation }
    /// Whether nothing that was read can be taken back any more.
    var isSettled: Bool { position.sequence >= pagesEnd }
    var lag: UInt64 { acknowledged.rawValue - min(position.sequence.rawValue, acknowledged.rawValue) }

    func begin(done: @escaping Reply<Void>) {
        ask { [reader] in
            $0.beginReading(reader, epoch: $1, reply: $2)
        } done: { [self] result in
            done(result.map { position = $0 })
        }
    }

    func page(from key: Int, done: @escaping Reply<SimulatedReplica.PointPage>) {
        ask { [reader, owned] in
            $0.pointPage(reader, of: owned, from: key, epoch: $1, reply: $2)
        } done: { [self] result in
            if case .success(let page) = result { pagesEnd = max(pagesEnd, page.sequence) }
            done(result)
        }
    }

    func news(done: @escaping Reply<SimulatedReplica.LogPage>) {
        ask { [reader, owned, position] in
            $0.logPage(reader, of: owned, after: position, epoch: $1, reply: $2)
        } done: { [self] result in
            if case .success(let page) = result { acknowledged = max(acknowledged, page.acknowledged) }
            done(result)
        }
    }

    /// Says that a page was applied.
    func advance(past page: SimulatedReplica.LogPage) { position = page.position }

    // MARK: - Asking

    /// Asks the present primary, again and again while the cluster settles.
    private func ask<Answer>(
        _ question: @escaping (SimulatedReplica, Epoch, @escaping Reply<Answer>) -> Void, done: @escaping Reply<Answer>
    ) {
        ask(until: simulation.now + Self.patience, question, done: done)
    }

    private func ask<Answer>(
        until deadline: Int, _ question: @escaping (SimulatedReplica, Epoch, @escaping Reply<Answer>) -> Void,
        done: @escaping Reply<Answer>
    ) {
        let finish = { [self] (result: Result<Answer, ShardError>) in
            guard case .failure(let error) = result, error.isTransient || error == .deadlineExceeded,
                simulation.now < deadline
            else { return done(result) }
            node.process.after(Self.pause) { [self] in ask(until: deadline, question, done: done) }
        }
        withRecord { [self] result in
            switch result {
            case .failure(let error): finish(.failure(error))
            case .success(let record):
                simulation.network.call(from: node, to: record.primary, timeout: Self.timeout) { target, reply in
                    target.withReplica(
                        of: record.id, { question($0, record.epoch, reply) }, else: { reply(.failure($0)) })
                } done: {
                    finish($0)
                }
            }
        }
    }

    private func withRecord(done: @escaping Reply<ShardRecord>) {
        let look = { [self] (state: ClusterState) -> Result<ShardRecord, ShardError> in
            guard let record = state.shard(id)?.value else { return .failure(.invalid(reason: "the shard is gone")) }
            if let epoch, epoch != record.epoch, !isSettled || position == .start {
                return .failure(.invalid(reason: "the replicas changed while its points were read"))
            }
            epoch = record.epoch
            return .success(record)
        }
        guard simulation.profile.storeIsLocal else { return done(look(node.cache)) }
        node.refresh { done($0.flatMap(look)) }
    }
}
