import CSimdJSON
import DataModel

/// Writes the part of a payload that a selector names.
///
/// The dialect's rules: an object or array is walked as deep as a path may still apply; elements of arrays have the
/// path component `[]`; including `a.b` keeps the way to it, and all below it.
struct PayloadProjection {
    private let paths: [[PayloadPath.Step]]
    private let isInclusion: Bool
    /// Where the walk is.
    private var current: [PayloadPath.Step] = []

    /// Writes the wanted part of `payload`.
    static func write(
        _ payload: Payload, _ selector: PayloadSelector, parsers: JSONParserPool, to writer: inout JSONWriter
    ) {
        let projection: PayloadProjection
        switch selector {
        case .none, .all: return writer.raw(payload.json)
        case .include(let paths): projection = PayloadProjection(paths: paths, isInclusion: true)
        case .exclude(let paths): projection = PayloadProjection(paths: paths, isInclusion: false)
        }
        let isWritten = payload.json.withUnsafeBytes { bytes in
            let written: Void? = try? parsers.withDocument(bytes) { (root) throws(DialectError) in
                var projection = projection
                projection.writeObject(root, to: &writer)
            }
            return written != nil
        }
        // It was valid when it was stored; what cannot be read now is not shown.
        if !isWritten { writer.raw("{}") }
    }

    private init(paths: [[PayloadPath.Step]], isInclusion: Bool) {
        self.paths = paths
        self.isInclusion = isInclusion
    }

    private mutating func writeObject(_ object: JSONElement, to writer: inout JSONWriter) {
        writer.raw("{")
        var isFirst = true
        for (name, value) in object.fields {
            current.append(.key(name))
            if isWanted {
                if !isFirst { writer.raw(",") }
                isFirst = false
                writer.string(name)
                writer.raw(":")
                write(value, to: &writer)
            }
            current.removeLast()
        }
        writer.raw("}")
    }

    private mutating func writeArray(_ array: JSONElement, to writer: inout JSONWriter) {
        writer.raw("[")
        var isFirst = true
        current.append(.elements)
        for value in array.elements where isWanted {
            if !isFirst { writer.raw(",") }
            isFirst = false
            write(value, to: &writer)
        }
        current.removeLast()
        writer.raw("]")
    }

    private mutating func write(_ value: JSONElement, to writer: inout JSONWriter) {
        if value.isObject {
            writeObject(value, to: &writer)
        } else if value.isArray {
            writeArray(value, to: &writer)
        } else {
            writer.raw(value.minified ?? Array("null".utf8))
        }
    }

    private var isWanted: Bool {
        isInclusion
            ? paths.contains { zip($0, current).allSatisfy { $0 == $1 } }
            : !paths.contains { current.starts(with: $0) }
    }
}
