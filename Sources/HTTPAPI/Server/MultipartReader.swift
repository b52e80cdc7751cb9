/// Takes one file out of a `multipart/form-data` body (RFC 7578) as it comes, whatever its size.
///
/// The boundary is looked for across the pieces of the body: what may be its beginning is held back.
struct MultipartReader {
    enum Failure: Error, Equatable {
        case malformed(String)
    }

    private enum State: Equatable {
        /// Before the first boundary.
        case preamble
        /// Behind a boundary: either the end or a part.
        case afterBoundary
        case headers
        /// In the contents of a part; only the wanted one's are given out.
        case contents(isWanted: Bool)
        case end
    }

    /// Headers of a part longer than this are nobody's.
    private static let largestHeaders = 16 << 10

    /// The name of the wanted part.
    private let name: String
    private let delimiter: [UInt8]
    private var state = State.preamble
    /// What was fed and is not yet decided on.
    private var pending: [UInt8]
    private(set) var foundPart = false

    var isComplete: Bool { state == .end }

    /// - Parameter contentType: the request's; nil when it is no multipart form with a boundary.
    init?(contentType: String, name: String) {
        let parts = contentType.split(separator: ";").map { $0.trimmingPrefix { $0 == " " } }
        guard parts.first?.lowercased() == "multipart/form-data" else { return nil }
        var boundary: String?
        for part in parts.dropFirst() where part.lowercased().hasPrefix("boundary=") {
            boundary = part.dropFirst("boundary=".count).filter { $0 != "\"" && $0 != " " }
        }
        // RFC 2046 allows 1 to 70 characters.
        guard let boundary, (1...70).contains(boundary.utf8.count) else { return nil }
        self.name = name
        delimiter = Array("\r\n--\(boundary)".utf8)
        // The first boundary may be without a line before it.
        pending = Array("\r\n".utf8)
    }

    /// Takes in more of the body.
    ///
    /// - Returns: what belongs to the wanted part's contents.
    mutating func feed(_ bytes: some Sequence<UInt8>) throws(Failure) -> [UInt8] {
        pending.append(contentsOf: bytes)
        var contents: [UInt8] = []
        while try step(&contents) {}
        return contents
    }

    /// False, when more is needed to go on.
    private mutating func step(_ contents: inout [UInt8]) throws(Failure) -> Bool {
        switch state {
        case .preamble: return takeUpToBoundary(wanted: false, &contents)
        case .contents(let isWanted): return takeUpToBoundary(wanted: isWanted, &contents)
        case .afterBoundary:
            guard pending.count >= 2 else { return false }
            if pending.starts(with: Array("--".utf8)) {
                state = .end
            } else if pending.starts(with: Array("\r\n".utf8)) {
                state = .headers
            } else {
                throw .malformed("a boundary is followed by neither a part nor the end")
            }
            pending.removeFirst(2)
            return true
        case .headers: return try readHeaders()
        case .end:
            pending.removeAll()
            return false
        }
    }

    private mutating func takeUpToBoundary(wanted: Bool, _ contents: inout [UInt8]) -> Bool {
        if let index = Self.firstIndex(of: delimiter, in: pending) {
            if wanted { contents.append(contentsOf: pending[..<index]) }
            pending.removeFirst(index + delimiter.count)
            state = .afterBoundary
            return true
        }
        let decided = max(0, pending.count - (delimiter.count - 1))
        if wanted { contents.append(contentsOf: pending[..<decided]) }
        pending.removeFirst(decided)
        return false
    }

    private mutating func readHeaders() throws(Failure) -> Bool {
        guard let end = Self.firstIndex(of: Array("\r\n\r\n".utf8), in: pending) else {
            // A part without headers begins with an empty line; no form's part does.
            guard pending.count <= Self.largestHeaders else { throw .malformed("a part's headers are too long") }
            return false
        }
        let headers = String(decoding: pending[..<end], as: UTF8.self)
        pending.removeFirst(end + 4)
        let isWanted = !foundPart && Self.partName(headers) == name
        if isWanted { foundPart = true }
        // The line end before the next boundary may be this part's only bytes.
        state = .contents(isWanted: isWanted)
        return true
    }

    private static func partName(_ headers: String) -> String? {
        for line in headers.split(whereSeparator: \.isNewline) {
            guard line.lowercased().hasPrefix("content-disposition:") else { continue }
            for field in line.split(separator: ";").dropFirst() {
                let pair = field.split(separator: "=", maxSplits: 1)
                if pair.count == 2, pair[0].filter({ $0 != " " }).lowercased() == "name" {
                    return pair[1].filter { $0 != "\"" }
                }
            }
        }
        return nil
    }

    /// Looks for the first byte with `memchr`'s speed, since bodies are large and boundaries rare.
    private static func firstIndex(of pattern: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= pattern.count else { return nil }
        return bytes.withUnsafeBufferPointer { bytes in
            var index = 0
            let last = bytes.count - pattern.count
            while index <= last {
                guard let next = bytes[index...last].firstIndex(of: pattern[0]) else { return nil }
                if bytes[next..<next + pattern.count].elementsEqual(pattern) { return next }
                index = next + 1
            }
            return nil
        }
    }
}
