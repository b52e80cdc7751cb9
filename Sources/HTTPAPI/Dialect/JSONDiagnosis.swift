/// Looks at bodies that the parser refused for a number or a word: names the field that is at fault, and makes bodies
/// with long integers readable.
///
/// The parser knows integers of 64 bits; longer ones become floats, as in the dialect's own server. `NaN` and
/// `Infinity` are what many languages write for floats that JSON does not have.
struct JSONDiagnosis {
    private enum Container {
        case array(index: Int)
        case object(key: Range<Int>?)
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var containers: [Container] = []
    private var longIntegers: [Range<Int>] = []

    /// The body with each long integer written as a float, or nil when it has none.
    ///
    /// - Throws: when a number or a word that is not JSON's can be named.
    static func readable(_ bytes: UnsafeRawBufferPointer) throws(DialectError) -> [UInt8]? {
        var diagnosis = JSONDiagnosis(bytes: bytes)
        try diagnosis.walk()
        return diagnosis.rewritten()
    }

    private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private mutating func walk() throws(DialectError) {
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "{"): open(.object(key: nil))
            case UInt8(ascii: "["): open(.array(index: 0))
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                _ = containers.popLast()
                position += 1
            case UInt8(ascii: ","): separate()
            case UInt8(ascii: "\""): skipString()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                try checkScalar()
            default: position += 1
            }
            // Deeper bodies are refused for their depth.
            guard containers.count <= JSONParser.maximumDepth else { return }
        }
    }

    private mutating func open(_ container: Container) {
        containers.append(container)
        position += 1
    }

    private mutating func separate() {
        position += 1
        switch containers.popLast() {
        case .array(let index): containers.append(.array(index: index + 1))
        case .object: containers.append(.object(key: nil))
        case nil: break
        }
    }

    private mutating func skipString() {
        let start = position + 1
        position = start
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        let end = min(position, bytes.count)
        if case .object(key: nil) = containers.last {
            containers[containers.count - 1] = .object(key: start..<end)
        }
        position = end + 1
    }

    private mutating func checkScalar() throws(DialectError) {
        let start = position
        while position < bytes.count, Self.isScalarByte(bytes[position]) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        switch text {
        case "true", "false", "null": return
        case "NaN", "nan", "Infinity", "-Infinity", "inf", "-inf", "-NaN", "-nan":
            throw DialectError(path, "\(text) is not a finite number")
        default: break
        }
        guard let number = Double(text) else {
            throw DialectError(path, "\(quoted(text)) is not a JSON value")
        }
        guard number.isFinite else { throw DialectError(path, "\(quoted(text)) is beyond the range of numbers") }
        let isInteger = text.utf8.allSatisfy {
            $0 == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0
        }
        if isInteger, UInt64(text) == nil, Int64(text) == nil { longIntegers.append(start..<position) }
    }

    private static func isScalarByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private var path: String {
        var path = ""
        for container in containers {
            switch container {
            case .array(let index): path += "[\(index)]"
            case .object(let key):
                guard let key else { continue }
                path += path.isEmpty ? "" : "."
                path += String(decoding: bytes[key].prefix(64), as: UTF8.self)
            }
        }
        return path
    }

    private func rewritten() -> [UInt8]? {
        guard !longIntegers.isEmpty else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + longIntegers.count * 2)
        var copied = 0
        for range in longIntegers {
            result.append(contentsOf: bytes[copied..<range.upperBound])
            result.append(contentsOf: ".0".utf8)
            copied = range.upperBound
        }
        result.append(contentsOf: bytes[copied...])
        return result
    }
}
