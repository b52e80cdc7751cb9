import DataModel
import Testing

/// What the primaries of a split or merge say to each other arrives as it was.
@Suite struct FillMessageTests {
    private static let position = LogPosition(sequence: SequenceNumber(1 << 50), epoch: Epoch(7))
    private static let requests = [
        RememberedWrite(RequestStamp(name: RequestName("a"), digest: 7), sequence: SequenceNumber(8)),
        RememberedWrite(
            RequestStamp(name: .random(), digest: 0, scope: VirtualShardSet(ranges)), sequence: SequenceNumber(9)),
    ]
    private static let ranges = [VirtualShardRange(lower: 0, upper: 5), VirtualShardRange(lower: 9, upper: 9)]
    private static let point = VersionedPoint(
        point: Point(
            id: .number(5), vectors: NamedVectors([1, 2, 3]), payload: Payload(json: Array(#"{"a":1}"#.utf8))),
        version: SequenceNumber(41))

    @Test func requests() throws {
        let reader = ShardNumber(12)
        for request: FillRequest in [
            .begin(reader: reader), .points(reader: reader, Self.ranges, from: nil),
            .points(reader: reader, [], from: [0, 1, 255]), .log(reader: reader, Self.ranges, after: Self.position),
            .hold(milliseconds: 2_000), .release, .finish([FillEnd(shard: reader, position: Self.position)]),
            .requests(after: SequenceNumber(5), through: SequenceNumber(1 << 40)),
        ] {
            #expect(try FillRequest(decoding: request.encoded()) == request)
        }
        #expect(throws: BinaryFormatError.self) { try FillRequest(decoding: [99]) }
    }

    @Test func answers() throws {
        for answer: FillAnswer in [
            .begun(Self.position),
            .points(PointPage(points: [Self.point], next: [1, 2], sequence: SequenceNumber(3))),
            .points(PointPage(points: [], next: nil, sequence: .zero)),
            .log(
                LogPage(
                    points: [Self.point], deleted: [.init(id: .number(6), sequence: SequenceNumber(9))],
                    requests: Self.requests, position: Self.position, acknowledged: SequenceNumber(10))),
            .requests(RequestPage(requests: Self.requests, next: SequenceNumber(9))),
            .requests(RequestPage(requests: [], next: nil)), .held(Self.position, revision: 77), .released, .finished(Self.position),
        ] {
            #expect(try FillAnswer(decoding: answer.encoded()) == answer)
        }
    }

    @Test func theWriteThatAdoptsPoints() throws {
        let operation = WriteOperation.adopt([Self.point, Self.point], deleting: [.number(1)], requests: Self.requests)
        #expect(try WriteOperation(decoding: operation.encoded()) == operation)
    }
}
