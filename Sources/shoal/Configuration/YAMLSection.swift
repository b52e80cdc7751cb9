import Yams

/// One mapping of a `cluster.yaml`, read key by key: every error names the file, the key path and the line.
///
/// A key counts as known once it was asked for, so `refuseUnknownKeys()` comes last.
struct YAMLSection {
    let file: String
    let path: String
    private let entries: [String: (line: Int?, value: Yams.Node)]
    private let order: [String]
    private(set) var lines: [String: Int] = [:]
    private var known: Set<String> = []

    /// - Parameter node: nil when the section is absent from the file.
    init(file: String, path: String, line: Int?, node: Yams.Node?) throws(ConfigurationError) {
        self.file = file
        self.path = path
        var entries: [String: (line: Int?, value: Yams.Node)] = [:]
        var order: [String] = []
        switch node {
        case nil:
            break
        case .scalar(let scalar)? where scalar.isNull:
            break
        case .mapping(let mapping)?:
            for (key, value) in mapping {
                guard let name = key.scalar?.string else {
                    throw ConfigurationError(
                        file: file, line: key.mark?.line ?? line, keyPath: path, reason: "a key must be a plain name")
                }
                entries[name] = (key.mark?.line, value)
                order.append(name)
            }
        default:
            throw ConfigurationError(
                file: file, line: node?.mark?.line ?? line, keyPath: path,
                reason: "expected settings, `name: value` on lines of their own")
        }
        self.entries = entries
        self.order = order
        for (name, entry) in entries { lines[Self.join(path, name)] = entry.line }
    }

    func error(_ key: String, _ reason: String) -> ConfigurationError {
        ConfigurationError(file: file, line: entries[key]?.line, keyPath: Self.join(path, key), reason: reason)
    }

    func contains(_ key: String) -> Bool { entries[key] != nil }

    // MARK: - Reading

    mutating func section(_ key: String) throws(ConfigurationError) -> YAMLSection {
        known.insert(key)
        let entry = entries[key]
        return try YAMLSection(file: file, path: Self.join(path, key), line: entry?.line, node: entry?.value)
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let text = try text(key) else { return nil }
        guard let value = Int(text) else {
            throw error(key, "`\(text)` is not a whole number")
        }
        guard range.contains(value) else {
            throw error(key, "\(value) is outside of \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A size such as `32GiB`, in bytes.
    mutating func bytes(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let text = try text(key) else { return nil }
        guard let value = Quantities.bytes(text) else {
            throw error(key, "`\(text)` is not a size; write it as 512MiB or 32GiB")
        }
        guard range.contains(value) else {
            let bounds = "\(Quantities.text(bytes: range.lowerBound)) to \(Quantities.text(bytes: range.upperBound))"
            throw error(key, "\(text) is outside of \(bounds)")
        }
        return value
    }

    /// A duration such as `10s` or `250ms`.
    mutating func duration(_ key: String, in range: ClosedRange<Duration>) throws(ConfigurationError) -> Duration? {
        guard let text = try text(key) else { return nil }
        guard let value = Quantities.duration(text) else {
            throw error(key, "`\(text)` is not a duration; write it as 250ms, 10s or 5m")
        }
        guard range.contains(value) else {
            let bounds = "\(Quantities.text(range.lowerBound)) to \(Quantities.text(range.upperBound))"
            throw error(key, "\(text) is outside of \(bounds)")
        }
        return value
    }

    mutating func choice<Value: RawRepresentable & CaseIterable>(
        _ key: String, _ type: Value.Type
    ) throws(ConfigurationError) -> Value? where Value.RawValue == String {
        guard let text = try text(key) else { return nil }
        guard let value = Value(rawValue: text) else {
            let choices = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw error(key, "`\(text)` is not one of \(choices)")
        }
        return value
    }

    /// The scalar's text; nil when the key is absent.
    mutating func text(_ key: String) throws(ConfigurationError) -> String? {
        known.insert(key)
        guard let entry = entries[key] else { return nil }
        guard let scalar = entry.value.scalar else { throw error(key, "expected one value") }
        if scalar.isNull { throw error(key, "has no value; leave the key out to take the default") }
        return scalar.string
    }

    /// The texts of a list; nil when the key is absent.
    mutating func texts(_ key: String) throws(ConfigurationError) -> [String]? {
        known.insert(key)
        guard let entry = entries[key] else { return nil }
        guard let list = entry.value.sequence else { throw error(key, "expected a list, such as [a, b]") }
        var texts: [String] = []
        for node in list {
            guard let scalar = node.scalar, !scalar.isNull else { throw error(key, "expected a list of plain values") }
            texts.append(scalar.string)
        }
        return texts
    }

    /// - Throws: for the first key of the section, in the file's order, that nobody asked for.
    func refuseUnknownKeys() throws(ConfigurationError) {
        guard let key = order.first(where: { !known.contains($0) }) else { return }
        let nearest = known.map { (name: $0, distance: editDistance($0, key)) }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
        let hint =
            if let nearest, nearest.distance <= max(2, key.count / 3) {
                "did you mean `\(nearest.name)`?"
            } else {
                "known here: \(known.sorted().joined(separator: ", "))"
            }
        throw error(key, "unknown key; \(hint)")
    }

    private static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}

extension Yams.Node.Scalar {
    fileprivate var isNull: Bool {
        style != .doubleQuoted && style != .singleQuoted && ["", "~", "null", "Null", "NULL"].contains(string)
    }
}

/// Levenshtein's distance, capital letters counted as small ones.
private func editDistance(_ a: String, _ b: String) -> Int {
    let a = Array(a.lowercased())
    let b = Array(b.lowercased())
    var row = Array(0...b.count)
    for (i, letter) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in b.enumerated() {
            let substituted = diagonal + (letter == other ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
        }
    }
    return row[b.count]
}
