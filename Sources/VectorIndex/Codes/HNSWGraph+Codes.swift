internal import CKernels
internal import DataModel
internal import Synchronization

extension HNSWGraph {
    /// Rows that a centre is the mean of at most: its error is then far below the residuals.
    private static var trainingRows: UInt32 { 4_096 }

    /// The codes in use; nil without quantization, and while 1-bit codes have nothing to train on.
    var codes: CodeRows? { currentCodes.withLock { $0 } }

    /// The column of codes, which a checkpoint stores like those of links.
    package var codeColumn: Column? { codes?.column }

    /// What the codes need beside their column; persisted with it.
    package var bitCodebook: BitCodebook? {
        if case .binary(let book)? = codes?.codebook { return book }
        return nil
    }

    /// Sets the codebook that the stored codes were made with; before their blocks are published.
    ///
    /// - Throws: `damaged` when it does not fit the vectors; `reservationFailed`.
    package func restore(_ codebook: BitCodebook) throws(VectorIndexError) {
        guard quantization == .binary, codebook.centre.count == raw.dimension else {
            throw .damaged(reason: "a centre of \(codebook.centre.count) components does not fit")
        }
        let restored = try CodeRows(.binary(codebook), raw: raw, maximumRows: nodes.maximumRows)
        currentCodes.withLock { $0 = restored }
    }

    /// The codes, trained on rows below `limit` when there are none yet; nil without quantization.
    func trainedCodes(below limit: UInt32) -> CodeRows? {
        if let codes { return codes }
        guard quantization == .binary else { return nil }
        return promotion.withLock { _ in
            if let codes { return codes }
            let made = try? CodeRows(.binary(train(below: limit)), raw: raw, maximumRows: nodes.maximumRows)
            currentCodes.withLock { $0 = made }
            return made
        }
    }

    private func train(below limit: UInt32) -> BitCodebook {
        let rows = min(limit, Self.trainingRows)
        var centre = [Double](repeating: 0, count: raw.dimension)
        var count: UInt32 = 0
        for sample in 0..<rows {
            let slot = UInt32(UInt64(sample) * UInt64(limit) / UInt64(rows))
            guard let values = raw.values(at: slot) else { continue }
            for index in values.indices { centre[index] += Double(values[index]) }
            count += 1
        }
        let scale = count > 0 ? 1 / Double(count) : 0
        return BitCodebook(centre: centre.map { Float($0 * scale) }, seed: parameters.seed, trainedRows: limit)
    }

    /// Whether the centre is no longer where the vectors are: as many rows again came as it was trained on, several times
    /// over, and their mean is off the centre by a good part of the residuals' length.
    package var codesHaveDrifted: Bool {
        guard let book = bitCodebook, count / 4 >= max(book.trainedRows, 256) else { return false }
        let now = train(below: count)
        var (shift, spread) = (Float(0), Float(0))
        for sample in 0..<UInt32(64) {
            guard let values = raw.values(at: UInt32(UInt64(sample) * UInt64(count) / 64)) else { continue }
            for index in values.indices {
                let residual = values[index] - now.centre[index]
                spread += residual * residual
            }
        }
        for index in now.centre.indices {
            let difference = now.centre[index] - book.centre[index]
            shift += difference * difference
        }
        return shift > 0.05 * spread / 64
    }

    /// Makes all codes anew around the mean of the vectors of now. Searches go on with the old ones meanwhile; insertions
    /// wait for the end of it.
    ///
    /// - Precondition: no checkpoint runs.
    /// - Throws: `reservationFailed`; then the old codes stay.
    package func retrainCodes() throws(VectorIndexError) {
        guard quantization == .binary, codes != nil else { return }
        let result: Result<Void, VectorIndexError> = withInsertionsPaused {
            Result { () throws(VectorIndexError) in
                let made = try CodeRows(
                    .binary(train(below: count)), raw: raw, maximumRows: nodes.maximumRows)
                for slot in 0..<count { made.encode(slot) }
                currentCodes.withLock { $0 = made }
            }
        }
        try result.get()
    }
}
