import DataModel

/// The dialect's `params`, and what Shoal adds to them.
struct SearchParameters {
    var ef: Int?
    var exact = false
    var recall: Double?
    var quantization = QuantizationParameters()
    /// Whether the answer says how it was found.
    var profile = false

    init() {}

    /// - Parameter request: the body that may have `params`.
    init(of request: JSONElement) throws(DialectError) {
        guard let params = try request.field("params") else { return }
        do { try read(params) } catch { throw error.within("params") }
    }

    private mutating func read(_ params: JSONElement) throws(DialectError) {
        try params.requireObject()
        try params.refuse("idf")
        ef = try params.integer("hnsw_ef", in: Limits.efSearch)
        exact = try params.bool("exact") ?? false
        recall = try params.share("recall")
        profile = try params.bool("profile") ?? false
        if recall != nil {
            guard ef == nil else { throw DialectError("recall", "it takes the place of `hnsw_ef`, which is given too") }
            guard !exact else { throw DialectError("recall", "an exact search finds all; leave out one of the two") }
        }
        // Rows that are not in the graph yet are few and scanned: leaving them out would save nothing.
        _ = try params.bool("indexed_only")
        // Which way a filtered search goes is decided by its estimated cost.
        if let acorn = try params.field("acorn") {
            do throws(DialectError) {
                try acorn.requireObject()
                _ = try acorn.bool("enable")
                _ = try acorn.float("max_selectivity")
            } catch { throw error.within("acorn") }
        }
        if let codes = try params.field("quantization") {
            do throws(DialectError) { quantization = try QuantizationParameters(codes) } catch { throw error.within("quantization") }
        }
    }
}

extension QuantizationParameters {
    /// Each candidate costs a raw vector from the disk.
    private static let largestOversampling = 1_000.0

    fileprivate init(_ element: JSONElement) throws(DialectError) {
        try element.requireObject()
        self.init(ignore: try element.bool("ignore") ?? false, rescore: try element.bool("rescore"))
        guard let value = try element.field("oversampling") else { return }
        guard let factor = value.doubleValue, (1...Self.largestOversampling).contains(factor) else {
            throw DialectError(
                "oversampling", "a number in 1...\(Int(Self.largestOversampling)) is expected, not \(value.shown)")
        }
        oversampling = factor
    }
}

extension JSONElement {
    /// A number between 0 and 1, which are themselves none.
    fileprivate func share(_ name: StaticString) throws(DialectError) -> Double? {
        guard let value = try field(name) else { return nil }
        guard let number = value.doubleValue, number > 0, number < 1 else {
            throw DialectError("\(name)", "a number between 0 and 1 is expected, not \(value.shown)")
        }
        return number
    }
}
