import Cluster

/// What a history's world is like: drawn from its seed, so that a thousand seeds are a thousand different worlds.
struct Profile {
    /// Of histories: what may go wrong in them.
    struct Faults {
        var crashes = true
        var stops = true
        var partitions = true
        var clockJumps = true
        var fullDisks = true
        var lostDisks = true
        var moves = true
        var reshardings = true
        var slowStore = true
        /// Drains, and other replication factors.
        var plans = true
    }

    /// So many shards, with `replicas` replicas each, live on these.
    let nodes: Int
    let shards: Int
    let replicas: Int
    let writeConsistencyFactor: Int
    /// On one machine: nodes reach the store always and at once, and a dead process is noticed at once. Otherwise they
    /// reach it by the network.
    let storeIsLocal: Bool
    /// Of a node's lease, in microseconds.
    let leaseTime: Int
    let clients: Int
    let keys: Int
    let faults: Faults
    /// Microseconds between two faults, on average.
    let faultInterval: Int
    /// Shares of messages.
    let lossRate: Double
    let duplicationRate: Double
    /// Microseconds that a message takes at most, but for some that take many times that.
    let latency: Int
    let fsync: Int
    /// The share of commits that take many times that.
    let slowCommits: Double
    /// A log keeps this many records unless somebody needs more.
    let retainedRecords: Int
    /// Of a new shard's looks at how far it is: that it goes on.
    let fillRate: Double
    let options: ReplicationOptions

    static let mostKeys = 8
    /// Of a node's clock against the store's: more than real clocks drift, less than the lease's margin.
    static let maximumDrift = 0.02

    init(_ random: inout SeededGenerator) {
        nodes = random.within(3...5)
        replicas = random.within(2...3)
        writeConsistencyFactor = random.chance(0.3) ? 2 : 1
        storeIsLocal = random.chance(0.5)
        leaseTime = random.within(500...3_000) * 1_000
        clients = random.within(2...6)
        keys = random.within(1...Self.mostKeys)
        var faults = Faults()
        faults.crashes = random.chance(0.8)
        faults.stops = random.chance(0.7)
        faults.partitions = random.chance(0.7)
        faults.clockJumps = random.chance(0.3)
        faults.fullDisks = random.chance(0.2)
        faults.lostDisks = random.chance(0.4)
        faults.moves = random.chance(0.7)
        faults.reshardings = random.chance(0.5)
        faults.plans = random.chance(0.3)
        faults.slowStore = random.chance(0.5) && !storeIsLocal
        shards = faults.reshardings ? random.within(1...2) : 1
        fillRate = Double(random.within(3...50)) / 100
        self.faults = faults
        faultInterval = random.within(200...3_000) * 1_000
        lossRate = random.chance(0.5) ? 0 : Double(random.within(1...100)) / 1_000
        duplicationRate = random.chance(0.5) ? 0 : Double(random.within(1...100)) / 1_000
        latency = random.chance(0.7) ? 2_000 : 50_000
        fsync = random.chance(0.7) ? 3_000 : 100_000
        slowCommits = random.chance(0.5) ? 0.005 : 0.1
        retainedRecords = random.within(2...60)
        var options = ReplicationOptions()
        if random.chance(0.7) {
            options.replicationTimeout = .milliseconds(random.within(300...2_000))
            options.refusalTimeout = .milliseconds(random.within(200...1_000))
            options.unreachableTimeout = .milliseconds(random.within(100...1_000))
        }
        options.maximumPinnedRecords = UInt64(random.within(20...200))
        self.options = options
    }
}
