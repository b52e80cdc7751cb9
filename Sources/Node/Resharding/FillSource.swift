import Cluster
import DataModel

/// A shard that another one is filled from, and how far it was read.
struct FillSource: Sendable {
    /// For one answer; what does not answer in this time hangs.
    private static let timeout: Duration = .seconds(10)
    /// A failover takes a moment; a node that does not come back makes the filling begin anew.
    private static let patience: Duration = .seconds(15)
    private static let pause: Duration = .milliseconds(50)

    let id: ShardID
    /// What it has of the new shard's virtual shards.
    let owned: VirtualShardSet
    /// Whether that is all that the new shard has.
    let isOnlySource: Bool
    private let reader: ShardNumber
    private let environment: ReplicaEnvironment
    /// The epoch that the pages of points were read in.
    private var epoch: Epoch?
    /// Everything up to here has been applied.
    private(set) var position = LogPosition.start
    /// Pages of points may hold writes up to here that are not on all replicas: until the log that is has passed them,
    /// a failover may take them back.
    private(set) var pagesEnd = SequenceNumber.zero
    /// The last write that is on all in-sync replicas.
    private(set) var acknowledged = SequenceNumber.zero
    /// The newest of the named writes up to `position`, as the new shard is to remember them.
    private(set) var requests: [RememberedWrite] = []

    init(
        _ id: ShardID, owned: VirtualShardSet, isOnlySource: Bool, reader: ShardNumber,
        environment: ReplicaEnvironment
    ) {
        (self.id, self.owned, self.isOnlySource) = (id, owned, isOnlySource)
        (self.reader, self.environment) = (reader, environment)
    }

    private var ranges: [VirtualShardRange] { owned.ranges }

    /// Whether nothing that was read can be taken back any more.
    var isSettled: Bool { position.sequence >= pagesEnd }
    var lag: UInt64 { acknowledged.rawValue - min(position.sequence.rawValue, acknowledged.rawValue) }

    mutating func begin() async throws(ShardError) {
        guard case .begun(let position) = try await ask(.begin(reader: reader)) else { throw Self.malformed }
        self.position = position
        var place: SequenceNumber? = .zero
        while let after = place {
            guard case .requests(let page) = try await ask(.requests(after: after, through: position.sequence)) else {
                throw Self.malformed
            }
            note(page.requests)
            place = page.next
        }
    }

    mutating func page(from place: [UInt8]?) async throws(ShardError) -> PointPage {
        let answer = try await ask(.points(reader: reader, ranges, from: place))
        guard case .points(let page) = answer else { throw Self.malformed }
        pagesEnd = max(pagesEnd, page.sequence)
        return page
    }

    /// What was written since. `advance` to its end when it is applied.
    mutating func news() async throws(ShardError) -> LogPage {
        guard case .log(let page) = try await ask(.log(reader: reader, ranges, after: position)) else {
            throw Self.malformed
        }
        acknowledged = max(acknowledged, page.acknowledged)
        return page
    }

    /// Says that the reader is still there, though it has not come further.
    func keepLog() async {
        var reader = self
        _ = try? await reader.news()
    }

    /// Says that a page was applied.
    mutating func advance(past page: LogPage) {
        note(page.requests)
        position = page.position
    }

    /// What the new shard is to remember of writes that were done here.
    func moved(_ requests: [RememberedWrite]) -> [RememberedWrite] {
        requests.compactMap { $0.moved(to: isOnlySource ? nil : owned) }
    }

    private mutating func note(_ more: [RememberedWrite]) {
        requests += moved(more)
        if requests.count > 2 * Limits.rememberedWrites {
            requests.removeFirst(requests.count - Limits.rememberedWrites)
        }
    }

    private static var malformed: ShardError { .storage(reason: "a shard that is replaced gave another answer") }

    /// Asks the present primary, again and again while the cluster settles.
    private mutating func ask(_ request: FillRequest) async throws(ShardError) -> FillAnswer {
        let deadline = Deadline.after(Self.patience)
        while true {
            let failure: ShardError
            do throws(ShardError) {
                let record = try await record()
                return try await environment.primary.replica(id, record.primary).fill(
                    request, context: RequestContext(epoch: record.epoch, deadline: .after(Self.timeout)))
            } catch {
                failure = error
            }
            guard failure.isTransient || failure == .deadlineExceeded, !deadline.isPast,
                (try? await Task.sleep(for: Self.pause)) != nil
            else { throw failure }
        }
    }

    private mutating func record() async throws(ShardError) -> ShardRecord {
        guard let record = try await environment.stateForAnswers().shard(id)?.value else {
            throw .invalid(reason: "shard \(id.number) is gone")
        }
        if let epoch, epoch != record.epoch, !isSettled || position == .start {
            throw .invalid(reason: "the replicas of shard \(id.number) changed while its points were read")
        }
        epoch = record.epoch
        return record
    }
}
