import DataModel

/// Which part of a payload a response carries (`with_payload`).
enum PayloadSelector: Sendable, Equatable {
    case none
    case all
    /// By the steps of each path.
    case include([[PayloadPath.Step]])
    case exclude([[PayloadPath.Step]])

    var isWanted: Bool { self != .none }
}

extension JSONElement {
    /// `with_payload`: a boolean, paths to include, or `{"include": [...]}`, `{"exclude": [...]}`.
    func payloadSelector(default: PayloadSelector) throws(DialectError) -> PayloadSelector {
        let name: StaticString = "with_payload"
        guard let value = try field(name) else { return `default` }
        if let all = value.boolValue { return all ? .all : .none }
        if value.isArray { return .include(try value.payloadPaths(name)) }
        guard value.isObject else {
            throw DialectError("\(name)", "a boolean, an array or an object is expected, not \(value.typeName)")
        }
        if let include = try value.field("include") {
            return .include(try include.payloadPaths("with_payload.include"))
        }
        if let exclude = try value.field("exclude") {
            return .exclude(try exclude.payloadPaths("with_payload.exclude"))
        }
        throw DialectError("\(name)", "`include` or `exclude` is expected")
    }

    private func payloadPaths(_ name: StaticString) throws(DialectError) -> [[PayloadPath.Step]] {
        guard isArray else { throw DialectError("\(name)", "an array of paths is expected, not \(typeName)") }
        var paths: [[PayloadPath.Step]] = []
        for text in try strings(in: name) {
            guard let path = PayloadPath(text).steps else {
                throw DialectError("\(name)[\(paths.count)]", "\(quoted(text)) is not a path")
            }
            paths.append(path)
        }
        return paths
    }
}
