import DataModel

extension JSONElement {
    /// The body of a payload index's creation.
    func payloadIndex() throws(DialectError) -> PayloadIndexConfig {
        try requireObject()
        let path = try payloadPath("field_name")
        let schema = try requiredField("field_schema")
        do throws(DialectError) {
            if schema.isString { return PayloadIndexConfig(path: path, kind: try schema.indexKind(named: schema)) }
            try schema.requireObject()
            guard let type = try schema.field("type") else { throw DialectError("type", "the field is missing") }
            let kind = try within("type") { () throws(DialectError) in try schema.indexKind(named: type) }
            guard kind == .text else {
                try schema.checkIndexOptions()
                return PayloadIndexConfig(path: path, kind: kind)
            }
            return PayloadIndexConfig(path: path, kind: kind, text: try schema.textOptions())
        } catch {
            throw error.within("field_schema")
        }
    }

    private func indexKind(named name: JSONElement) throws(DialectError) -> PayloadIndexConfig.Kind {
        guard let kind = name.stringValue.flatMap({ PayloadIndexConfig.Kind(rawValue: $0) }) else {
            let known = PayloadIndexConfig.Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw DialectError("", "\(name.shown) is none of \(known)")
        }
        return kind
    }

    /// Options of the dialect that tune how its server stores an index; none changes an answer.
    private func checkIndexOptions() throws(DialectError) {
        try allow(
            only: "type", "is_tenant", "on_disk", "memory", "enable_hnsw", "prefix", "lookup", "range", "is_principal")
    }

    private func textOptions() throws(DialectError) -> PayloadIndexConfig.TextOptions {
        try allow(
            only: "type", "tokenizer", "lowercase", "min_token_len", "max_token_len", "phrase_matching", "on_disk",
            "memory", "enable_hnsw", "ascii_folding", "stopwords", "stemmer")
        if try bool("ascii_folding") == true { throw DialectError("ascii_folding", "not supported") }
        try refuse("stopwords", "stemmer")
        _ = try bool("phrase_matching")
        var options = PayloadIndexConfig.TextOptions()
        if let name = try string("tokenizer") {
            guard let tokenizer = PayloadIndexConfig.TextOptions.Tokenizer(rawValue: name) else {
                throw DialectError("tokenizer", "\(quoted(name)) is not supported; word, whitespace and prefix are")
            }
            options.tokenizer = tokenizer
        }
        options.lowercase = try bool("lowercase") ?? true
        options.minimumTokenLength = max(1, try integer("min_token_len", in: Limits.tokenLength) ?? 1)
        options.maximumTokenLength = try integer("max_token_len", in: Limits.tokenLength)
        if let longest = options.maximumTokenLength, longest < options.minimumTokenLength {
            throw DialectError("max_token_len", "\(longest) is less than the least, \(options.minimumTokenLength)")
        }
        return options
    }
}

extension JSONWriter {
    /// The `payload_schema` of a collection.
    ///
    /// `progress` is Shoal's own: the share of the points that a new index holds already.
    mutating func payloadSchema(_ indexes: [PayloadIndexStatus]) {
        raw("{")
        for (number, status) in indexes.enumerated() {
            let index = status.config
            if number > 0 { raw(",") }
            string(index.path.text)
            raw(":{\"data_type\":")
            string(index.kind.rawValue)
            if let text = index.text {
                raw(",\"params\":{\"type\":\"text\",\"tokenizer\":")
                string(text.tokenizer.rawValue)
                raw(",\"lowercase\":")
                bool(text.lowercase)
                raw(",\"min_token_len\":")
                integer(text.minimumTokenLength)
                if let longest = text.maximumTokenLength {
                    raw(",\"max_token_len\":")
                    integer(longest)
                }
                raw("}")
            }
            raw(",\"points\":")
            integer(status.points)
            raw(",\"progress\":")
            double(status.progress)
            raw("}")
        }
        raw("}")
    }
}
