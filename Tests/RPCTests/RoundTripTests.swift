import DataModel
import RPC
import Synchronization
import Testing

/// What is sent arrives as it was, for every method, over a real socket.
@Suite(.serialized) struct RoundTripTests {
    @Test(arguments: 0..<12 as Range<UInt64>) func searches(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let replica = FakeReplica()
        let searches = random.array(0...5) { $0.search() }
        let results = random.array(0...5) { random in
            SearchAnswer(
                points: random.array(0...10) { ScoredPoint(record: $0.record(), score: $0.float()) },
                profile: random.bool() ? random.profile() : nil)
        }
        replica.answers.withLock { $0.search = results }
        try await withPeer(replica) { peer, _ in
            let answer = try await peer.shard(FakeHost.id).search(searches, context: .soon(epoch: 1 << 60))
            #expect(answer == results)
        }
        let seen = replica.seen.withLock { $0 }
        #expect(seen.searches.map { $0.encoded() } == searches.map { $0.encoded() })
        #expect(seen.context?.epoch == Epoch(1 << 60))
    }

    @Test(arguments: 0..<12 as Range<UInt64>) func readsByID(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let replica = FakeReplica()
        let ids = random.array(0...9) { $0.pointID() }
        let retrieve = RetrieveRequest(
            ids: ids, withPayload: random.bool(), withVectors: random.selector(), isSettled: random.bool())
        let scroll = ScrollRequest(
            start: random.bool() ? random.pointID() : nil, limit: random.int(0...1_000),
            filter: random.bool() ? random.filter() : nil, withPayload: random.bool(), withVectors: random.selector(),
            isSettled: random.bool())
        let filter = random.bool() ? random.filter() : nil
        let records = random.array(0...9) { $0.record() }
        let count = random.next()
        let status = ReplicaStatus(
            position: random.position(), points: random.next(), indexedRows: random.next(),
            unindexedRows: random.next(), diskBytes: random.next())
        replica.answers.withLock {
            $0.records = records
            $0.count = count
            $0.status = status
        }
        try await withPeer(replica) { peer, _ in
            let shard = peer.shard(FakeHost.id)
            let retrieved = try await shard.retrieve(retrieve, context: .soon())
            #expect(retrieved == records)
            let scrolled = try await shard.scroll(scroll, context: .soon())
            #expect(scrolled == records)
            let counted = try await shard.count(filter, context: .soon())
            #expect(counted == count)
            let reported = try await shard.status(deadline: .after(.seconds(20)))
            #expect(reported == status)
        }
        let seen = replica.seen.withLock { $0 }
        #expect(seen.retrieve?.encoded() == retrieve.encoded())
        #expect(seen.scroll?.encoded() == scroll.encoded())
        #expect(seen.filter == filter)
    }

    @Test(arguments: 0..<12 as Range<UInt64>) func writesAndTheLog(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let replica = FakeReplica()
        let write = random.write()
        let records = random.array(0...5) {
            LogRecord(position: $0.position(), operation: $0.operation(), stamp: $0.bool() ? $0.stamp() : nil)
        }
        let previous = random.position()
        let receipt = WriteReceipt(sequence: random.sequence())
        let backup = BackupState(position: random.position(), unindexedRows: random.next())
        let digest = ReplicaDigest(
            position: random.position(),
            virtualShards: Dictionary(
                uniqueKeysWithValues: (0..<UInt16(seed)).map {
                    (VirtualShard($0), VirtualShardDigest(points: random.next(), hash: random.next()))
                }))
        let ranges = [VirtualShardRange(lower: 3, upper: 3), VirtualShardRange(lower: 9, upper: .max)]
        replica.answers.withLock {
            $0.receipt = receipt
            $0.backup = backup
            $0.digest = digest
        }
        try await withPeer(replica) { peer, _ in
            let written = try await peer.shard(FakeHost.id).write(write, context: .soon())
            #expect(written == receipt)
            let remote = peer.replica(FakeHost.id)
            let opened = try await remote.openReplica(context: .soon())
            #expect(opened == backup)
            let replicated = try await remote.replicate(records, after: previous, context: .soon())
            #expect(replicated == backup)
            let digested = try await remote.digest(of: ranges, context: .soon())
            #expect(digested == digest)
        }
        let seen = replica.seen.withLock { $0 }
        #expect(seen.writes == [write])
        #expect(seen.records == records)
        #expect(seen.previous == previous)
        #expect(seen.digested == ranges)
    }

    @Test(arguments: 0..<6 as Range<UInt64>) func links(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let replica = FakeReplica()
        let request = LinkRequest(
            layout: random.next(), space: UInt16(seed), first: UInt32(seed) * 1_000, maximumRows: 512)
        var page = LinkPage(first: request.first)
        for row in 0..<seed { page.append((0..<row).map { _ in UInt32(truncatingIfNeeded: random.next()) }) }
        // A replica with other slots has no page.
        let answer = seed == 0 ? nil : page
        replica.answers.withLock { $0.links = answer }
        try await withPeer(replica) { peer, _ in
            let links = try await peer.replica(FakeHost.id).links(request, context: .soon())
            #expect(links == answer)
        }
        #expect(replica.seen.withLock { $0.wantedLinks } == request)
    }

    /// Pages that would be read past their ends.
    @Test func pagesOfLinksThatDoNotFitTogether() {
        for (first, starts, slots) in [
            (0, [], []), (0, [1, 2], [7, 7]), (0, [0, 2, 1], [7]), (0, [0, 1], [7, 8]), (0, [0, 3], [7]),
            (UInt32.max, [0, 1, 2], [7, 8]),
        ] as [(UInt32, [UInt32], [UInt32])] {
            var writer = BinaryWriter()
            writer.write(first)
            writer.write(starts) { $0.write($1) }
            writer.write(slots) { $0.write($1) }
            #expect(throws: BinaryFormatError.self) { try LinkPage(decoding: writer.bytes) }
        }
    }

    @Test(arguments: 0..<6 as Range<UInt64>) func snapshots(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let replica = FakeReplica()
        let files = random.array(0...3) { SnapshotFile(name: $0.text(), bytes: $0.next()) }
        let offer = SnapshotOffer(transfer: random.next(), position: random.position(), files: files)
        let chunk = SnapshotChunk(
            transfer: random.next(), file: random.text(), offset: random.next(),
            bytes: random.bytes(random.bool() ? 0 : 1 << 20))
        let checksums = ["points": random.next(), "index": random.next()]
        let backup = BackupState(position: random.position(), unindexedRows: random.next())
        replica.answers.withLock { $0.backup = backup }
        try await withPeer(replica) { peer, _ in
            let remote = peer.replica(FakeHost.id)
            try await remote.beginSnapshot(offer, context: .soon())
            try await remote.receiveSnapshot(chunk, context: .soon())
            let state = try await remote.finishSnapshot(transfer: 5, checksums: checksums, context: .soon())
            #expect(state == backup)
        }
        let seen = replica.seen.withLock { $0 }
        #expect(seen.offer == offer)
        #expect(seen.chunk == chunk)
        #expect(seen.finished?.transfer == 5)
        #expect(seen.finished?.checksums == checksums)
    }

    @Test(arguments: [
        ShardError.notHosted(FakeHost.id), .notServing(reason: "größe"), .notPrimary,
        .staleEpoch(current: Epoch(.max)),
        .insufficientReplicas(inSync: 1, required: 2),
        .unreachable(reason: ""), .deadlineExceeded,
        .overloaded(reason: "a"), .invalid(reason: "b"), .outOfSpace(reason: "c"), .corrupted(reason: "d"),
        .storage(reason: "e"), .requestNameReused,
        .versionConflict(
            VersionConflict(point: .uuid(high: 1, low: 2), expected: .zero, actual: SequenceNumber(.max))),
    ])
    func errorsArriveAsTheyWereThrown(error: ShardError) async throws {
        let replica = FakeReplica()
        replica.answers.withLock { $0.error = error }
        try await withPeer(replica) { peer, _ in
            let ofShard = await failure { () throws(ShardError) in
                try await peer.shard(FakeHost.id).count(nil, context: .soon())
            }
            #expect(ofShard == error)
            let ofReplica = await failure { () throws(ShardError) in
                try await peer.replica(FakeHost.id).openReplica(context: .soon())
            }
            #expect(ofReplica == error)
        }
    }

    @Test func aShardThatTheNodeDoesNotHoldIsNamed() async throws {
        let other = ShardID(collection: FakeHost.id.collection, number: ShardNumber(99))
        try await withPeer(FakeReplica()) { peer, _ in
            let error = await failure { () throws(ShardError) in
                try await peer.shard(other).count(nil, context: .soon())
            }
            #expect(error == .notHosted(other))
        }
    }

    @Test func aWriteOfThirtyMegabytesPasses() async throws {
        let replica = FakeReplica()
        let points = (0..<5_000 as Range<UInt64>).map { id in
            Point(id: .number(id), vectors: NamedVectors([Float](repeating: Float(id), count: 1_536)), payload: .empty)
        }
        let operation = WriteOperation.upsert(points)
        #expect(operation.estimatedBytes > 30_000_000)
        try await withPeer(replica) { peer, _ in
            _ = try await peer.shard(FakeHost.id).write(WriteRequest(operation), context: .soon())
        }
        #expect(replica.seen.withLock { $0.writes } == [WriteRequest(operation)])
    }

    @Test func whatIsLongerThanAFrameIsRefusedOnBothSides() async throws {
        let replica = FakeReplica()
        let payload = Payload(json: [UInt8](repeating: 32, count: RPCLimits.frameBytes))
        let record = Record(id: .number(1), version: .zero, payload: payload, vectors: nil)
        replica.answers.withLock { $0.records = [record] }
        let point = Point(id: .number(1), vectors: NamedVectors(), payload: payload)
        try await withPeer(replica) { peer, _ in
            let shard = peer.shard(FakeHost.id)
            let tooLongRequest = await failure { () throws(ShardError) in
                try await shard.write(WriteRequest(.upsert([point])), context: .soon())
            }
            guard case .invalid = tooLongRequest else { throw Unexpected("\(String(describing: tooLongRequest))") }
            let tooLongAnswer = await failure { () throws(ShardError) in
                try await shard.retrieve(
                    RetrieveRequest(ids: [], withPayload: true, withVectors: .none), context: .soon())
            }
            guard case .invalid = tooLongAnswer else { throw Unexpected("\(String(describing: tooLongAnswer))") }
            let counted = try await shard.count(nil, context: .soon())
            #expect(counted == 0)
        }
    }
}
