import DataModel

extension JSONElement {
    /// `quantization_config` as it was asked for; nil where the choice is the shard's.
    ///
    /// Its options about memory change nothing here: codes are mapped from disk like everything else.
    func quantizationSettings() throws(DialectError) -> QuantizationSettings? {
        guard let config = try field("quantization_config") else { return nil }
        do throws(DialectError) {
            if let text = config.stringValue {
                guard text == "Disabled" else { throw DialectError("", "\(quoted(text)) is not `Disabled`") }
                return QuantizationSettings(kind: .none)
            }
            try config.requireObject()
            let kinds = config.fields.filter { !$0.value.isNull }
            guard let (name, value) = kinds.first else { return nil }
            guard kinds.count == 1 else { throw DialectError("", "one kind of quantization is expected") }
            do throws(DialectError) {
                switch name {
                case "scalar": return try value.scalarQuantization()
                case "binary": return try value.binaryQuantization()
                default: throw DialectError("", "not supported; `scalar` and `binary` are")
                }
            } catch { throw error.within(String(name.prefix(64))) }
        } catch {
            throw error.within("quantization_config")
        }
    }

    private func scalarQuantization() throws(DialectError) -> QuantizationSettings {
        try requireObject()
        guard let type = try string("type") else { throw DialectError("type", "the field is missing") }
        guard type == "int8" else { throw DialectError("type", "\(quoted(type)) is not supported; int8 is") }
        let quantile = try float("quantile")
        if let quantile, !(0.5...1).contains(quantile) {
            throw DialectError("quantile", "\(quantile) is outside of 0.5...1")
        }
        return QuantizationSettings(kind: .scalar, quantile: quantile, alwaysRAM: try bool("always_ram"))
    }

    private func binaryQuantization() throws(DialectError) -> QuantizationSettings {
        try requireObject()
        if let encoding = try string("encoding"), encoding != "one_bit" {
            throw DialectError("encoding", "\(quoted(encoding)) is not supported; one_bit is")
        }
        // The query keeps more bits than the codes whatever is asked for: that only adds precision.
        _ = try string("query_encoding")
        return QuantizationSettings(kind: .binary, alwaysRAM: try bool("always_ram"))
    }
}

extension JSONWriter {
    mutating func quantization(_ settings: QuantizationSettings) {
        switch settings.kind {
        case .none: return raw("\"Disabled\"")
        case .scalar:
            raw("{\"scalar\":{\"type\":\"int8\"")
            if let quantile = settings.quantile {
                raw(",\"quantile\":")
                float(quantile)
            }
            if let alwaysRAM = settings.alwaysRAM {
                raw(",\"always_ram\":")
                bool(alwaysRAM)
            }
        case .binary:
            raw("{\"binary\":{")
            if let alwaysRAM = settings.alwaysRAM {
                raw("\"always_ram\":")
                bool(alwaysRAM)
            }
        }
        raw("}}")
    }
}
