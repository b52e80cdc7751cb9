import DataModel
import Testing
import VectorIndex

/// Searches that walk over codes and score again with raw vectors.
@Suite struct CodeSearchTests {
    @Test(arguments: [Metric.innerProduct, .squaredEuclid], [1, 2, 3] as [UInt64])
    func eightBitCodesKeepRecallAbove95(metric: Metric, seed: UInt64) throws {
        let fixture = try Fixture(metric: metric, count: 4_000, dimension: 96, seed: seed, quantization: .scalar)
        #expect(fixture.graph.codeColumn != nil)
        let recall = fixture.recall(ef: 80)
        #expect(recall >= 0.95, "\(metric), seed \(seed): \(recall)")
    }

    @Test(arguments: [Metric.innerProduct, .squaredEuclid])
    func oneBitCodesWithRescoringKeepRecallAbove90(metric: Metric) throws {
        let fixture = try Fixture(metric: metric, count: 4_000, dimension: 192, quantization: .binary)
        let recall = fixture.recall(ef: 200)
        #expect(recall >= 0.9, "\(metric): \(recall)")
    }

    @Test(arguments: Quantization.allCases, [Metric.innerProduct, .squaredEuclid, .manhattan])
    func scoresAreThoseOfRawVectorsWhateverIsWalked(quantization: Quantization, metric: Metric) throws {
        let fixture = try Fixture(metric: metric, count: 800, dimension: 64, quantization: quantization)
        for query in fixture.queries {
            for neighbour in fixture.search(query) {
                let exact = fixture.distance(query, fixture.rows[Int(neighbour.slot)])
                #expect(abs(Double(neighbour.distance) - exact) < 1e-3)
            }
        }
    }

    @Test func ignoredCodesAndCodesThatAreNotRescoredGiveWhatTheySay() throws {
        let fixture = try Fixture(metric: .innerProduct, count: 2_000, dimension: 64, quantization: .scalar)
        let plain = try Fixture(metric: .innerProduct, count: 2_000, dimension: 64)
        var estimates = 0
        for query in fixture.queries {
            func search(_ quantization: QuantizationParameters) -> [Neighbour] {
                fixture.graph.search(
                    query: query, k: 10, ef: 100, quantization: quantization, visibleRows: 2_000, deleted: .none)
            }
            let ignoring = search(.init(ignore: true))
            #expect(Set(ignoring.map(\.slot)).isSuperset(of: plain.truth(query, k: 1)))
            for neighbour in search(.init(rescore: false)) {
                let exact = fixture.distance(query, fixture.rows[Int(neighbour.slot)])
                #expect(abs(Double(neighbour.distance) - exact) < 0.02)
                if Double(neighbour.distance) != exact { estimates += 1 }
            }
            #expect(search(.init(oversampling: 1e9)).count == 10)
        }
        #expect(estimates > 0)
    }

    @Test(arguments: [VectorDatatype.float16, .uint8])
    func smallerTypesAreFoundThemselves(datatype: VectorDatatype) throws {
        let raw = try RawRows(dimension: 48, datatype: datatype, distance: .cosine, maximumRows: 1_000)
        var generator = SeededGenerator(seed: 41)
        let rows = (0..<1_000).map { _ in (0..<48).map { _ in Float.random(in: 0...255, using: &generator).rounded() } }
        for (slot, row) in rows.enumerated() { raw.write(row, at: UInt32(slot)) }
        let graph = try HNSWGraph(parameters: .init(), raw: raw, quantization: .none, maximumRows: 1_000)
        while graph.insertNext(below: 1_000) != nil {}
        for slot in stride(from: 0, to: 1_000, by: 17) {
            var query = rows[slot]
            normalise(&query, dimension: 48)
            let found = graph.search(query: query, k: 1, ef: 60, visibleRows: 1_000, deleted: .none)
            #expect(found.first?.slot == UInt32(slot))
            #expect(abs((found.first?.distance ?? 0) + 1) < 1e-3, "the cosine of equal directions is 1")
            if datatype == .uint8 { #expect(raw.values(at: UInt32(slot)) == rows[slot], "bytes come back as they were") }
        }
    }

    @Test func retrainingFollowsVectorsThatMoved() throws {
        let dimension = 128
        let raw = try RawRows(dimension: dimension, datatype: .float32, distance: .euclid, maximumRows: 4_000)
        var generator = SeededGenerator(seed: 42)
        func row(centre: Float) -> [Float] { (0..<dimension).map { _ in centre + generator.gaussian() } }
        let rows = (0..<4_000).map { row(centre: $0 < 300 ? 0 : 5) }
        for (slot, row) in rows.enumerated() { raw.write(row, at: UInt32(slot)) }
        let graph = try HNSWGraph(parameters: .init(), raw: raw, quantization: .binary, maximumRows: 4_000)
        while graph.insertNext(below: 300) != nil {}
        #expect(!graph.codesHaveDrifted, "the centre is where the vectors are")
        while graph.insertNext(below: 4_000) != nil {}
        #expect(graph.codesHaveDrifted)
        func error() -> Double {
            var sum = 0.0
            for slot in stride(from: 1_000, to: 4_000, by: 100) {
                let found = graph.search(
                    query: rows[slot], k: 10, ef: 100, quantization: .init(rescore: false), visibleRows: 4_000,
                    deleted: .none)
                for neighbour in found {
                    let exact = zip(rows[slot], rows[Int(neighbour.slot)]).reduce(0.0) {
                        $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1)
                    }
                    sum += abs(Double(neighbour.distance) - exact)
                }
            }
            return sum
        }
        let before = error()
        try graph.retrainCodes()
        #expect(!graph.codesHaveDrifted)
        #expect(error() < before / 2, "codes around the new centre are nearer to the truth")
        #expect(graph.count == 4_000)
    }
}
