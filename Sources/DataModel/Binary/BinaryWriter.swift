/// Builds the binary form of a value: little-endian, lengths before contents. Used by the log and by RPC frames alike.
package struct BinaryWriter: Sendable {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package mutating func write(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func write(_ value: Bool) { bytes.append(value ? 1 : 0) }

    package mutating func write(_ value: Float) { write(value.bitPattern) }

    package mutating func write(_ text: String) {
        let utf8 = text.utf8
        write(UInt32(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    package mutating func write(_ blob: [UInt8]) {
        write(UInt32(blob.count))
        bytes.append(contentsOf: blob)
    }

    package mutating func write(_ floats: [Float]) {
        write(UInt32(floats.count))
        #if _endian(little)
            floats.withUnsafeBytes { bytes.append(contentsOf: $0) }
        #else
            for float in floats { write(float) }
        #endif
    }

    package mutating func write(_ id: PointID) {
        switch id {
        case .number(let value):
            write(UInt8(0))
            write(value)
        case .uuid(let high, let low):
            write(UInt8(1))
            write(high)
            write(low)
        }
    }

    /// Writes the number of elements, then each by `body`.
    package mutating func write<Element>(
        _ elements: some Collection<Element>, _ body: (inout BinaryWriter, Element) -> Void
    ) {
        write(UInt32(elements.count))
        for element in elements { body(&self, element) }
    }

    /// Writes whether there is a value, then the value by `body`.
    package mutating func write<Value>(_ value: Value?, _ body: (inout BinaryWriter, Value) -> Void) {
        write(value != nil)
        if let value { body(&self, value) }
    }
}
