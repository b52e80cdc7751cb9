import DataModel
import NIOCore

/// Writes JSON into a buffer, without a tree in between.
struct JSONWriter {
    private(set) var buffer: ByteBuffer

    init(capacity: Int = 512) { buffer = ByteBufferAllocator().buffer(capacity: capacity) }

    /// Writes text that is JSON already.
    mutating func raw(_ json: StaticString) { buffer.writeStaticString(json) }
    mutating func raw(_ json: some Sequence<UInt8>) { buffer.writeBytes(json) }

    mutating func integer(_ value: some BinaryInteger) { buffer.writeString(String(value)) }
    mutating func bool(_ value: Bool) { raw(value ? "true" : "false") }

    /// The shortest text that reads back as the same float32; null for what JSON does not have.
    mutating func float(_ value: Float) {
        if value.isFinite { buffer.writeString(value.description) } else { raw("null") }
    }

    mutating func double(_ value: Double) {
        if value.isFinite { buffer.writeString(value.description) } else { raw("null") }
    }

    mutating func string(_ text: String) {
        raw("\"")
        var text = text
        text.withUTF8 { utf8 in
            var copied = 0
            for (index, byte) in utf8.enumerated() where Self.needsEscape(byte) {
                buffer.writeBytes(UnsafeBufferPointer(rebasing: utf8[copied..<index]))
                escape(byte)
                copied = index + 1
            }
            buffer.writeBytes(UnsafeBufferPointer(rebasing: utf8[copied...]))
        }
        raw("\"")
    }

    /// Writes `"name":`, for names without characters to escape.
    mutating func key(_ name: StaticString) {
        raw("\"")
        raw(name)
        raw("\":")
    }

    /// Writes `values` in brackets with commas between them.
    mutating func array<S: Sequence>(_ values: S, _ write: (inout JSONWriter, S.Element) -> Void) {
        raw("[")
        var isFirst = true
        for value in values {
            if !isFirst { raw(",") }
            isFirst = false
            write(&self, value)
        }
        raw("]")
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): raw("\\\"")
        case UInt8(ascii: "\\"): raw("\\\\")
        case UInt8(ascii: "\n"): raw("\\n")
        case UInt8(ascii: "\r"): raw("\\r")
        case UInt8(ascii: "\t"): raw("\\t")
        default:
            let digits = String(byte, radix: 16)
            buffer.writeString("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
        }
    }
}

// MARK: - What the dialect's responses are made of

extension JSONWriter {
    mutating func pointID(_ id: PointID) {
        switch id {
        case .number(let value): integer(value)
        case .uuid:
            raw("\"")
            buffer.writeString(id.text)
            raw("\"")
        }
    }

    mutating func vector(_ values: [Float]) { array(values) { $0.float($1) } }

    /// The unnamed vector alone as an array; named ones as an object.
    mutating func vectors(_ vectors: NamedVectors) {
        if vectors.entries.count == 1, let values = vectors[""] { return vector(values) }
        raw("{")
        for (index, entry) in vectors.entries.enumerated() {
            if index > 0 { raw(",") }
            string(entry.name)
            raw(":")
            vector(entry.values)
        }
        raw("}")
    }

    /// - Parameter version: whether to say in which version the point is, which the dialect does not.
    mutating func record(
        _ record: Record, _ selector: PayloadSelector, version: Bool = false, parsers: JSONParserPool
    ) {
        raw("{\"id\":")
        pointID(record.id)
        if version {
            raw(",\"version\":")
            integer(record.version.rawValue)
        }
        contents(record, selector, parsers: parsers)
    }

    mutating func scoredPoint(_ point: ScoredPoint, _ selector: PayloadSelector, parsers: JSONParserPool) {
        raw("{\"id\":")
        pointID(point.record.id)
        raw(",\"version\":")
        integer(point.record.version.rawValue)
        raw(",\"score\":")
        float(point.score)
        contents(point.record, selector, parsers: parsers)
    }

    private mutating func contents(_ record: Record, _ selector: PayloadSelector, parsers: JSONParserPool) {
        if selector.isWanted, let payload = record.payload {
            raw(",\"payload\":")
            PayloadProjection.write(payload, selector, parsers: parsers, to: &self)
        }
        if let vectors = record.vectors {
            raw(",\"vector\":")
            self.vectors(vectors)
        }
        raw("}")
    }

    mutating func scoredPoints(_ points: [ScoredPoint], _ selector: PayloadSelector, parsers: JSONParserPool) {
        array(points) { $0.scoredPoint($1, selector, parsers: parsers) }
    }
}
