internal import Foundation

/// A matrix in NumPy's `.npy` format, version 1: magic, version, header length, a Python dict literal, the raw array.
struct NumpyFile {
    struct FormatError: Error { let path: String }

    let rows: Int
    let columns: Int
    /// Mapped: a process that does not look at the values has no memory for them.
    private let file: Data
    private let headerEnd: Int

    init(path: String, dtype: String) throws {
        file = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        guard file.count > 10, file.prefix(7) == Data([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1]) else {
            throw FormatError(path: path)
        }
        headerEnd = 10 + Int(file[8]) + Int(file[9]) << 8
        guard headerEnd <= file.count else { throw FormatError(path: path) }
        let header = String(decoding: file[10..<headerEnd], as: UTF8.self)
        let shape = header.split(separator: "(").last?.split(separator: ")").first?
            .split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        guard header.contains("'\(dtype)'"), header.contains("'fortran_order': False"), let shape, shape.count == 2
        else { throw FormatError(path: path) }
        (rows, columns) = (shape[0], shape[1])
    }

    func values<Value: BitwiseCopyable>(of type: Value.Type) -> [Value] {
        file.withUnsafeBytes { bytes in
            let values = UnsafeRawBufferPointer(rebasing: bytes[headerEnd...]).bindMemory(to: Value.self)
            return Array(values.prefix(rows * columns))
        }
    }
}
