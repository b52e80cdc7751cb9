/// The bytes are not what a `BinaryWriter` of this version writes.
package struct BinaryFormatError: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String

    package init(description: String) { self.description = description }
}

/// Reads what `BinaryWriter` wrote. Every read is checked against the bytes that are left: the bytes come from disks
/// and peers. What it returns is copied; the reader itself is valid only as long as the bytes it was lent.
package struct BinaryReader: ~Copyable {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var remaining: Int { bytes.count - offset }

    package mutating func readInteger<T: FixedWidthInteger & BitwiseCopyable>(
        as type: T.Type = T.self
    ) throws(BinaryFormatError) -> T {
        let start = try advance(by: MemoryLayout<T>.size)
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: T.self))
    }

    package mutating func readBool() throws(BinaryFormatError) -> Bool {
        switch try readInteger(as: UInt8.self) {
        case 0: return false
        case 1: return true
        case let other: throw BinaryFormatError(description: "\(other) is not a boolean")
        }
    }

    package mutating func readFloat() throws(BinaryFormatError) -> Float {
        Float(bitPattern: try readInteger(as: UInt32.self))
    }

    package mutating func readString() throws(BinaryFormatError) -> String {
        let blob = try readBytes()
        guard let text = String(validating: blob, as: UTF8.self) else {
            throw BinaryFormatError(description: "text is not UTF-8")
        }
        return text
    }

    package mutating func readBytes() throws(BinaryFormatError) -> [UInt8] {
        let count = Int(try readInteger(as: UInt32.self))
        let start = try advance(by: count)
        return [UInt8](copying: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
    }

    package mutating func readFloats() throws(BinaryFormatError) -> [Float] {
        let count = Int(try readInteger(as: UInt32.self))
        let start = try advance(by: count * MemoryLayout<UInt32>.size)
        #if _endian(little)
            return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
                UnsafeMutableRawBufferPointer(buffer)
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count * 4]))
                initialized = count
            }
        #else
            return (0..<count).map { index in
                Float(
                    bitPattern: UInt32(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: start + index * 4, as: UInt32.self)))
            }
        #endif
    }

    package mutating func readPointID() throws(BinaryFormatError) -> PointID {
        switch try readInteger(as: UInt8.self) {
        case 0: return .number(try readInteger())
        case 1: return .uuid(high: try readInteger(), low: try readInteger())
        case let other: throw BinaryFormatError(description: "\(other) is not a kind of point id")
        }
    }

    /// Reads the number of elements, then each by `body`.
    package mutating func readArray<Element>(
        _ body: (inout BinaryReader) throws(BinaryFormatError) -> Element
    ) throws(BinaryFormatError) -> [Element] {
        let count = Int(try readInteger(as: UInt32.self))
        // An element has at least one byte: a forged count cannot reserve more memory than the message itself has.
        guard count <= remaining else { throw BinaryFormatError(description: "\(count) elements in \(remaining) bytes") }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try body(&self)) }
        return elements
    }

    package mutating func readOptional<Value>(
        _ body: (inout BinaryReader) throws(BinaryFormatError) -> Value
    ) throws(BinaryFormatError) -> Value? {
        try readBool() ? try body(&self) : nil
    }

    private mutating func advance(by count: Int) throws(BinaryFormatError) -> Int {
        guard count <= remaining else {
            throw BinaryFormatError(description: "\(count) bytes needed at offset \(offset), \(remaining) left")
        }
        defer { offset += count }
        return offset
    }
}

/// A value with a binary form.
package protocol BinaryCodable {
    func encode(to writer: inout BinaryWriter)
    init(from reader: inout BinaryReader) throws(BinaryFormatError)
}

extension BinaryCodable {
    package func encoded(capacity: Int = 256) -> [UInt8] {
        var writer = BinaryWriter(capacity: capacity)
        encode(to: &writer)
        return writer.bytes
    }

    /// Decodes all of `bytes`.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(BinaryFormatError) {
        var reader = BinaryReader(bytes)
        try self.init(from: &reader)
        guard reader.remaining == 0 else {
            throw BinaryFormatError(description: "\(reader.remaining) bytes too many")
        }
    }

    /// Decodes all of `bytes`.
    package init(decoding bytes: [UInt8]) throws(BinaryFormatError) {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(BinaryFormatError) in try Self(decoding: buffer) }
        }
        self = try result.get()
    }
}
