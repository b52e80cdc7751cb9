/// How a row's raw vector is stored.
package enum VectorDatatype: String, Sendable, Codable, CaseIterable {
    case float32
    case float16
    /// Components are rounded to 0 ... 255.
    case uint8

    /// Bytes of a component.
    package var componentBytes: Int {
        switch self {
        case .float32: 4
        case .float16: 2
        case .uint8: 1
        }
    }
}

/// Which codes the graph walk compares in place of the raw vectors; results are scored again with the raw ones.
package enum Quantization: String, Sendable, Codable, CaseIterable {
    /// Raw vectors only.
    case none
    /// 8 bits a component and a scale of its own for each vector: a quarter of the bytes.
    case scalar
    /// 1 bit a component with a correction for each vector (RaBitQ): a thirty-second of the bytes.
    case binary
}

/// A quantization as it was asked for.
package struct QuantizationSettings: Sendable, Codable, Equatable {
    package var kind: Quantization
    /// The dialect's `quantile` and `always_ram`, echoed: each vector has a scale of its own, and codes are mapped from
    /// disk.
    package var quantile: Float?
    package var alwaysRAM: Bool?

    package init(kind: Quantization, quantile: Float? = nil, alwaysRAM: Bool? = nil) {
        self.kind = kind
        self.quantile = quantile
        self.alwaysRAM = alwaysRAM
    }
}

/// What a query says of codes (`params.quantization` in the dialect).
package struct QuantizationParameters: Sendable, Equatable {
    /// Walk over raw vectors.
    package var ignore: Bool
    /// Whether results are scored again with raw vectors; nil lets the shard decide, which does.
    package var rescore: Bool?
    /// How many candidates, as a multiple of the limit, are scored again; nil lets the shard decide.
    package var oversampling: Double?

    package init(ignore: Bool = false, rescore: Bool? = nil, oversampling: Double? = nil) {
        self.ignore = ignore
        self.rescore = rescore
        self.oversampling = oversampling
    }
}
