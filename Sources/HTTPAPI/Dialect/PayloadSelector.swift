import DataModel

/// Which part of a payload a response carries (`with_payload`).
enum PayloadSelector: Sendable, Equatable {
    case none
    case all
    case include([PayloadPath])
    case exclude([PayloadPath])

    var isWanted: Bool { self != .none }
}

/// A path into a payload: `a.b`, `a[].b`, `a[0]`, `"a.b".c`.
struct PayloadPath: Sendable, Equatable {
    enum Component: Sendable, Equatable {
        case key(String)
        /// `[]`: every element.
        case elements
        case index(Int)
    }

    var components: [Component]

    init(components: [Component]) { self.components = components }

    /// Nil when the text is not a path.
    init?(_ text: String) {
        components = []
        var rest = text[...]
        repeat {
            guard let key = Self.key(&rest) else { return nil }
            components.append(.key(key))
            while rest.first == "[" {
                guard let end = rest.firstIndex(of: "]") else { return nil }
                let index = rest[rest.index(after: rest.startIndex)..<end]
                if index.isEmpty {
                    components.append(.elements)
                } else {
                    guard let number = Int(index), number >= 0 else { return nil }
                    components.append(.index(number))
                }
                rest = rest[rest.index(after: end)...]
            }
            if rest.isEmpty { return }
        } while rest.popFirst() == "."
        return nil
    }

    private static func key(_ rest: inout Substring) -> String? {
        if rest.first == "\"" {
            rest.removeFirst()
            guard let end = rest.firstIndex(of: "\"") else { return nil }
            defer { rest = rest[rest.index(after: end)...] }
            return String(rest[..<end])
        }
        let key = rest.prefix { $0 != "." && $0 != "[" }
        guard !key.isEmpty, !key.contains("]"), !key.contains("\"") else { return nil }
        rest = rest[key.endIndex...]
        return String(key)
    }
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

    private func payloadPaths(_ name: StaticString) throws(DialectError) -> [PayloadPath] {
        guard isArray else { throw DialectError("\(name)", "an array of paths is expected, not \(typeName)") }
        var paths: [PayloadPath] = []
        for text in try strings(in: name) {
            guard let path = PayloadPath(text) else {
                throw DialectError("\(name)[\(paths.count)]", "\(quoted(text)) is not a path")
            }
            paths.append(path)
        }
        return paths
    }
}
