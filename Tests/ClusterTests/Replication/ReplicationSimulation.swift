import Cluster
import DataModel

/// One shard on three nodes, with the controller, in a world where messages are late, out of order or lost, nodes die
/// and come back with their logs, and logs are trimmed. Nodes act on old records until they happen to look again.
struct ReplicationSimulation {
    /// A replica's durable part: the writes it has, by sequence.
    struct Replica {
        var log: [LogPosition] = []
        /// Records up to here are no longer in the log.
        var trimmed: UInt64 = 0
        var isUp = true
        /// What the node last read of the shard.
        var view: Stored<ShardRecord>
        var liveView: Set<NodeID>
        var primary: PrimaryState?
        /// Grows with each start of the role, so that events for an earlier one are told apart.
        var reign = 0

        var position: LogPosition { log.last ?? .start }

        func epoch(of sequence: SequenceNumber) -> Epoch? {
            guard sequence > .zero, sequence.rawValue <= UInt64(log.count) else { return nil }
            return log[Int(sequence.rawValue) - 1].epoch
        }
    }

    enum Message {
        case open(to: NodeID, epoch: Epoch)
        case records(to: NodeID, [LogPosition], after: LogPosition, epoch: Epoch)
        case snapshot(to: NodeID, [LogPosition], epoch: Epoch)
        case swap(expected: Revision, ShardRecord)
        case refresh
        /// Comes to the primary itself.
        case event(PrimaryEvent)
    }

    struct InFlight {
        var sender: NodeID
        var reign: Int
        var message: Message
        /// False when the sender has been told that it failed: it still takes effect, late and unheard.
        var isAwaited = true
    }

    var random: SeededGenerator
    var world = World()
    let shard: ShardID
    let nodes = (1...3).map { NodeID($0) }
    var replicas: [NodeID: Replica] = [:]
    var inFlight: [InFlight] = []
    var now = Duration.zero
    /// Every write that was ever acknowledged, by sequence.
    var acknowledged: [SequenceNumber: LogPosition] = [:]
    /// Writes of each reign that clients wait for.
    var waiting: [NodeID: [LogPosition]] = [:]
    private(set) var violations: [String] = []

    init(seed: UInt64) throws {
        random = SeededGenerator(seed: seed)
        for node in nodes { world.join(node) }
        shard = ShardID(collection: try world.create("c", shards: 1, replicas: 3), number: ShardNumber(0))
        guard let record = world.state.shard(shard) else { preconditionFailure("the shard was made") }
        for node in nodes { replicas[node] = Replica(view: record, liveView: world.state.liveNodes) }
        for node in nodes { look(node) }
    }

    // MARK: - Steps

    mutating func step() {
        now += .milliseconds(Int.random(in: 0...30, using: &random))
        guard let node = nodes.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<24, using: &random) {
        case 0: if random.oneIn(3) { random.oneIn(2) ? crash(node) : loseLease(node) }
        case 1: if replicas[node]?.isUp == false { restart(node) } else { renewLease(node) }
        case 2, 3: look(node)
        case 4: world.settle(options: quietOptions, rounds: 1)
        case 5: if random.oneIn(10) { askForHandover() }
        case 6: trim(node)
        case 7: if random.oneIn(4) { dropOne() }
        case 8, 9, 10: write(node)
        case 11, 12: tick(node)
        default: deliverOne()
        }
        check()
    }

    /// Everything works again: in the end all replicas must be in sync and equal.
    mutating func heal() {
        for node in nodes { if replicas[node]?.isUp == false { restart(node) } else { renewLease(node) } }
        for _ in 0..<400 {
            now += .milliseconds(50)
            world.settle(options: quietOptions)
            for node in nodes {
                look(node)
                tick(node)
            }
            while !inFlight.isEmpty { deliver(inFlight.removeFirst()) }
            check()
        }
    }

    private var quietOptions: Controller.Options {
        var options = Controller.Options()
        options.startGraceSeconds = 0
        return options
    }

    mutating func write(_ node: NodeID) {
        guard replicas[node]?.isUp == true, replicas[node]?.primary?.admitWrite() == nil,
            let replica = replicas[node], replica.primary != nil
        else { return }
        let position = LogPosition(sequence: replica.position.sequence.next, epoch: replica.view.value.epoch)
        replicas[node]?.log.append(position)
        waiting[node, default: []].append(position)
        post(node, .event(.localCommitted(position)), first: true)
    }

    private mutating func tick(_ node: NodeID) { give(.tick, to: node) }

    /// Reads the control store, and takes on or gives up the primary's role.
    private mutating func look(_ node: NodeID) {
        guard let replica = replicas[node], replica.isUp, let record = world.state.shard(shard) else { return }
        replicas[node]?.view = record
        replicas[node]?.liveView = world.state.liveNodes
        if replica.primary != nil {
            give(.recordChanged(record), to: node)
            give(.liveNodesChanged(world.state.liveNodes), to: node)
        } else if record.value.primary == node {
            replicas[node]?.reign += 1
            var primary = PrimaryState(
                node: node, record: record, position: replica.position, writeConsistencyFactor: 1,
                liveNodes: world.state.liveNodes)
            let actions = primary.start(now: now)
            replicas[node]?.primary = primary
            perform(actions, of: node)
        }
    }

    private mutating func crash(_ node: NodeID) {
        guard replicas[node]?.isUp == true else { return }
        replicas[node]?.isUp = false
        replicas[node]?.primary = nil
        waiting[node] = nil
        // What it had sent may still arrive.
        inFlight.removeAll { $0.sender == node && random.oneIn(2) }
        for index in inFlight.indices where inFlight[index].sender == node { inFlight[index].isAwaited = false }
        if world.state.isLive(node) { world.fall(node) }
    }

    /// The node was stopped for a while, say: the others think it dead, and it knows nothing of that.
    private mutating func loseLease(_ node: NodeID) {
        if world.state.isLive(node) { world.fall(node) }
    }

    private mutating func renewLease(_ node: NodeID) {
        if !world.state.isLive(node) { world.rise(node) }
    }

    private mutating func restart(_ node: NodeID) {
        replicas[node]?.isUp = true
        world.rise(node)
        look(node)
    }

    private mutating func askForHandover() {
        world.change(shard) { record in
            record.handover = record.inSync.first { $0 != record.primary }
        }
    }

    private mutating func trim(_ node: NodeID) {
        guard let replica = replicas[node] else { return }
        let floor = replica.primary?.retentionFloor?.rawValue ?? UInt64(replica.log.count)
        replicas[node]?.trimmed = max(replica.trimmed, min(floor, UInt64(replica.log.count)))
    }

    // MARK: - Messages

    private mutating func post(_ sender: NodeID, _ message: Message, first: Bool = false) {
        let entry = InFlight(sender: sender, reign: replicas[sender]?.reign ?? 0, message: message)
        // A primary's own events are in order; the rest is not.
        if first { deliver(entry) } else { inFlight.append(entry) }
    }

    private mutating func deliverOne() {
        guard !inFlight.isEmpty else { return }
        deliver(inFlight.remove(at: Int.random(in: 0..<inFlight.count, using: &random)))
    }

    private mutating func dropOne() {
        guard !inFlight.isEmpty else { return }
        let lost = inFlight.remove(at: Int.random(in: 0..<inFlight.count, using: &random))
        // Its sender learns only that it failed. It took effect, will do so later, or never.
        switch lost.message {
        case .open(let to, _), .records(let to, _, _, _), .snapshot(let to, _, _):
            if random.oneIn(2) { _ = receive(lost.message) } else { delay(lost) }
            reply(lost, .backupFailed(to, .unreachable(reason: "lost")))
        case .swap(let expected, let record):
            if random.oneIn(2) { _ = swap(expected, record) } else { delay(lost) }
            reply(lost, .swapFailed(reason: "lost"))
        case .refresh: break
        case .event: inFlight.append(lost)
        }
    }

    private mutating func delay(_ lost: InFlight) {
        guard random.oneIn(2) else { return }
        var late = lost
        late.isAwaited = false
        inFlight.append(late)
    }

    private mutating func reply(_ request: InFlight, _ event: PrimaryEvent) {
        guard request.isAwaited else { return }
        inFlight.append(InFlight(sender: request.sender, reign: request.reign, message: .event(event)))
    }

    private mutating func deliver(_ entry: InFlight) {
        if !entry.isAwaited {
            switch entry.message {
            case .swap(let expected, let record): _ = swap(expected, record)
            case .refresh, .event: break
            case .open, .records, .snapshot: _ = receive(entry.message)
            }
            return
        }
        guard let sender = replicas[entry.sender], sender.isUp, sender.reign == entry.reign else { return }
        switch entry.message {
        case .event(let event): give(event, to: entry.sender)
        case .refresh: give(.recordChanged(world.state.shard(shard)), to: entry.sender)
        case .swap(let expected, let record):
            if let stored = swap(expected, record) {
                reply(entry, .recordChanged(stored))
            } else {
                give(.recordChanged(world.state.shard(shard)), to: entry.sender)
                give(.swapFailed(reason: "conflict"), to: entry.sender)
            }
        case .open, .records, .snapshot:
            if let event = receive(entry.message) { reply(entry, event) }
        }
    }

    private mutating func swap(_ expected: Revision, _ record: ShardRecord) -> Stored<ShardRecord>? {
        let key = ControlKey.shard(shard)
        let guards = [ControlGuard(key: key, expected: expected)]
        guard world.commit(guards: guards, [.put(key: key, value: record.encoded)]) else { return nil }
        return world.state.shard(shard)
    }

    /// What a backup does, and the event that its answer is.
    private mutating func receive(_ message: Message) -> PrimaryEvent? {
        switch message {
        case .open(let node, let epoch):
            if let refusal = admit(node, epoch) { return .backupFailed(node, refusal) }
            return .backupOpened(node, state(node), epochHere: nil)
        case .records(let node, let records, let previous, let epoch):
            if let refusal = admit(node, epoch) { return .backupFailed(node, refusal) }
            let batch = records.map { LogRecord(position: $0, operation: .delete([])) }
            switch BackupRole.append(batch, after: previous, at: replicas[node]?.position ?? .start) {
            case .apply(let count): replicas[node]?.log += records.dropFirst(count)
            case .refuse(let error): return .backupFailed(node, BackupFailure(error))
            }
            return .backupAcked(node, state(node))
        case .snapshot(let node, let log, let epoch):
            if let refusal = admit(node, epoch) { return .backupFailed(node, refusal) }
            replicas[node]?.log = log
            replicas[node]?.trimmed = UInt64(log.count)
            return .snapshotInstalled(node, state(node))
        case .swap, .refresh, .event: return nil
        }
    }

    private func state(_ node: NodeID) -> BackupState {
        BackupState(position: replicas[node]?.position ?? .start, unindexedRows: 0)
    }

    private mutating func admit(_ node: NodeID, _ epoch: Epoch) -> BackupFailure? {
        guard let replica = replicas[node], replica.isUp else { return .unreachable(reason: "down") }
        var admission = BackupRole.admit(epoch: epoch, record: replica.view.value, node: node)
        if admission == .refreshFirst {
            look(node)
            admission = BackupRole.admit(
                epoch: epoch, record: replicas[node]?.view.value ?? replica.view.value, node: node)
        }
        return switch admission {
        case .accept: nil
        case .refuse(let error): BackupFailure(error)
        case .refreshFirst: .refused(reason: "a newer epoch than the store's")
        }
    }

    // MARK: - The primary's shell

    private mutating func give(_ event: PrimaryEvent, to node: NodeID) {
        guard var primary = replicas[node]?.primary, replicas[node]?.isUp == true else { return }
        var event = event
        // What the shell looks up in its log when the answer arrives.
        if case .backupOpened(let backup, let state, _) = event {
            event = .backupOpened(backup, state, epochHere: replicas[node]?.epoch(of: state.position.sequence))
        }
        let actions = primary.handle(event, now: now)
        replicas[node]?.primary = primary
        if let view = replicas[node]?.view, primary.record.revision > view.revision {
            replicas[node]?.view = primary.record
        }
        perform(actions, of: node)
    }

    private mutating func perform(_ actions: [PrimaryAction], of node: NodeID) {
        for action in actions {
            guard let replica = replicas[node] else { return }
            let epoch = replica.primary?.record.value.epoch ?? replica.view.value.epoch
            switch action {
            case .open(let backup): post(node, .open(to: backup, epoch: epoch))
            case .send(let backup, let after):
                if after.sequence.rawValue < replica.trimmed {
                    give(.logTrimmed(backup), to: node)
                } else {
                    let batch = replica.log.dropFirst(Int(after.sequence.rawValue))
                        .prefix(Int.random(in: 1...20, using: &random))
                    post(node, .records(to: backup, Array(batch), after: after, epoch: epoch))
                }
            case .sendSnapshot(let backup):
                give(.snapshotTaken(backup, replica.position), to: node)
                post(node, .snapshot(to: backup, replica.log, epoch: epoch))
            case .compareAndSwap(let expected, let record): post(node, .swap(expected: expected, record))
            case .refreshRecord: post(node, .refresh)
            case .acknowledge(let through):
                for position in waiting[node] ?? [] where position.sequence <= through {
                    if let other = acknowledged[position.sequence], other != position {
                        violations.append("\(position) and \(other) were both acknowledged")
                    }
                    acknowledged[position.sequence] = position
                }
                waiting[node]?.removeAll { $0.sequence <= through }
            case .rejectPending: waiting[node] = nil
            case .stepDown: replicas[node]?.primary = nil
            }
        }
    }

    // MARK: - What must be true

    private mutating func check() {
        guard let record = world.state.shard(shard)?.value else { return }
        if let violation = record.violation { violations.append(violation) }
        for node in record.inSync {
            guard let log = replicas[node]?.log else { continue }
            for (sequence, position) in acknowledged
            where log.count < Int(sequence.rawValue) || log[Int(sequence.rawValue) - 1] != position {
                violations.append("node \(node) is in sync and lacks the acknowledged write \(position)")
                return
            }
        }
    }
}
