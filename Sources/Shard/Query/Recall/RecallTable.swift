internal import DataModel

/// What a shard has learned of its own recall: for each effort, the recalls that the last sampled queries got with it.
package struct RecallTable {
    /// A search's effort for a recall, and how sure that is.
    package struct Effort: Equatable {
        package var ef: Int
        /// The mean recall of the sampled queries; nil when too few were sampled to tell.
        package var expectedRecall: Double?
        package var sampledQueries: Int
    }

    /// Steps by half or a third: between them recall is interpolated.
    package static let efs = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024]
    /// Numbers of results at which recall is measured; a search takes the first that is not less than its limit.
    package static let depths = [10, 100]
    /// Samples that count: old ones are of other rows and other users.
    package static let window = 128
    /// With fewer, an average says little.
    package static let fewestSamples = 8

    /// `[samples][depths][efs]`, oldest first.
    private var samples: [[[Double]]] = []

    package init() {}

    package var sampledQueries: Int { samples.count }

    package mutating func note(_ recalls: [[Double]]) {
        precondition(recalls.count == Self.depths.count && recalls.allSatisfy { $0.count == Self.efs.count })
        if samples.count == Self.window { samples.removeFirst() }
        samples.append(recalls)
    }

    /// The smallest effort whose recall is at least `target`, as far as samples can tell: the mean, less its standard
    /// error, has to reach it. The greatest known effort when none does.
    package func effort(for target: Double, limit: Int) -> Effort {
        guard samples.count >= Self.fewestSamples else {
            return Effort(ef: Self.unlearned(target), expectedRecall: nil, sampledQueries: samples.count)
        }
        let depth = Self.depths.firstIndex { $0 >= limit } ?? Self.depths.count - 1
        // Beyond what was measured, effort grows with the number of results.
        let scale = max(1, Double(limit) / Double(Self.depths[depth]))
        var below: (ef: Int, safe: Double, mean: Double)?
        for (index, ef) in Self.efs.enumerated() {
            let (mean, error) = statistics(depth: depth, ef: index)
            let safe = max(mean - error, below?.safe ?? 0)
            if safe >= target {
                var (chosen, expected) = (Double(ef), mean)
                if let below, safe > below.safe {
                    let part = (target - below.safe) / (safe - below.safe)
                    chosen = Double(below.ef) + part * Double(ef - below.ef)
                    expected = below.mean + part * (mean - below.mean)
                }
                return Effort(
                    ef: Int((chosen * scale).rounded(.up)), expectedRecall: expected, sampledQueries: samples.count)
            }
            below = (ef, safe, max(mean, below?.mean ?? 0))
        }
        let (ef, mean) = (below?.ef ?? 0, below?.mean)
        return Effort(ef: Int(Double(ef) * scale), expectedRecall: mean, sampledQueries: samples.count)
    }

    private func statistics(depth: Int, ef: Int) -> (mean: Double, error: Double) {
        let count = Double(samples.count)
        let mean = samples.reduce(0) { $0 + $1[depth][ef] } / count
        let variance = samples.reduce(0) { $0 + ($1[depth][ef] - mean) * ($1[depth][ef] - mean) } / count
        return (mean, (variance / count).squareRoot())
    }

    /// On the safe side for embeddings of text, until there are samples.
    private static func unlearned(_ target: Double) -> Int {
        switch target {
        case ..<0.9: 96
        case ..<0.96: 160
        case ..<0.99: 320
        default: 640
        }
    }
}

extension RecallTable: BinaryCodable {
    func encode(to writer: inout BinaryWriter) {
        writer.write(UInt32(Self.depths.count))
        writer.write(UInt32(Self.efs.count))
        writer.write(samples) { writer, sample in
            for recalls in sample { writer.write(recalls.map { Float($0) }) }
        }
    }

    init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let (depths, efs) = (try reader.readInteger(as: UInt32.self), try reader.readInteger(as: UInt32.self))
        guard (Int(depths), Int(efs)) == (Self.depths.count, Self.efs.count) else {
            throw BinaryFormatError(description: "samples of \(depths) x \(efs) recalls")
        }
        samples = try reader.readArray { (reader) throws(BinaryFormatError) in
            var sample: [[Double]] = []
            for _ in 0..<depths {
                let recalls = try reader.readFloats()
                guard recalls.count == efs, recalls.allSatisfy({ (0...1).contains($0) }) else {
                    throw BinaryFormatError(description: "recalls that are none")
                }
                sample.append(recalls.map { Double($0) })
            }
            return sample
        }
        samples = samples.suffix(Self.window)
    }
}
