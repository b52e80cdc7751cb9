import DataModel

/// SplitMix64: the same values for the same seed, on every system.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension SeededGenerator {
    mutating func bool() -> Bool { .random(using: &self) }

    mutating func int(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &self) }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }

    mutating func array<Element>(_ range: ClosedRange<Int>, _ make: (inout SeededGenerator) -> Element) -> [Element] {
        (0..<int(range)).map { _ in make(&self) }
    }

    mutating func text() -> String {
        ["", "a", "größe", "名前", "🐟🐠", "with \"quotes\" and \0", "é\u{301}"].randomElement(using: &self) ?? ""
    }

    mutating func float() -> Float {
        let special: [Float] = [0, -0.0, 1.5, -.pi, .leastNonzeroMagnitude, .greatestFiniteMagnitude]
        return bool() ? .random(in: -1...1, using: &self) : special[int(0...special.count - 1)]
    }

    mutating func pointID() -> PointID { bool() ? .number(next()) : .uuid(high: next(), low: next()) }

    mutating func payload() -> Payload { bool() ? .empty : Payload(json: Array("{\"k\":\"\(text())\"}".utf8)) }

    mutating func vectors() -> NamedVectors {
        var vectors = NamedVectors()
        for _ in 0..<int(0...3) { vectors[text()] = array(0...9) { $0.float() } }
        return vectors
    }

    mutating func selector() -> VectorSelector {
        [.none, .all, .named([]), .named(array(1...3) { $0.text() })].randomElement(using: &self) ?? .none
    }

    mutating func sequence() -> SequenceNumber { SequenceNumber(next()) }

    mutating func position() -> LogPosition { LogPosition(sequence: sequence(), epoch: Epoch(next())) }

    mutating func record() -> Record {
        Record(
            id: pointID(), version: sequence(), payload: bool() ? payload() : nil, vectors: bool() ? vectors() : nil)
    }

    mutating func point() -> Point { Point(id: pointID(), vectors: vectors(), payload: payload()) }

    mutating func operation() -> WriteOperation {
        switch int(0...2) {
        case 0: .upsert(array(0...4) { $0.point() })
        case 1: .delete(array(0...4) { $0.pointID() })
        default: .deleteMatching(filter())
        }
    }

    mutating func stamp() -> RequestStamp {
        RequestStamp(
            name: RequestName(high: next(), low: next()), digest: next(),
            scope: bool() ? VirtualShardSet([VirtualShardRange(lower: 3, upper: 9)]) : nil)
    }

    mutating func write() -> WriteRequest {
        WriteRequest(
            operation(), conditions: array(0...3) { WriteCondition(id: $0.pointID(), version: $0.sequence()) },
            stamp: bool() ? stamp() : nil)
    }

    mutating func search() -> SearchRequest {
        SearchRequest(
            space: text(), vector: array(0...40) { $0.float() }, limit: int(0...1_000),
            scoreThreshold: bool() ? float() : nil, ef: bool() ? int(1...1_000) : nil,
            recall: bool() ? .random(in: 0..<1, using: &self) : nil, exact: bool(),
            quantization: QuantizationParameters(
                ignore: bool(), rescore: bool() ? bool() : nil,
                oversampling: bool() ? .random(in: 1...8, using: &self) : nil),
            filter: bool() ? filter() : nil, excluded: array(0...2) { $0.pointID() }, withPayload: bool(),
            withVectors: selector(), profile: bool())
    }

    mutating func profile() -> SearchProfile {
        var profile = SearchProfile(
            strategy: SearchProfile.Strategy.allCases[int(0...3)], possibleRows: bool() ? int(0...9_999) : nil,
            certainRows: bool() ? int(0...9_999) : nil, estimatedRows: bool() ? int(0...9_999) : nil,
            comparisons: int(0...9_999), checkedPayloads: int(0...9_999), rescoredRows: int(0...9_999))
        profile.ef = bool() ? int(0...9_999) : nil
        profile.expectedRecall = bool() ? .random(in: 0..<1, using: &self) : nil
        profile.sampledQueries = bool() ? int(0...9_999) : nil
        return profile
    }
}
