import DataModel
import HTTPTypes
import Hummingbird

/// What only Shoal's writes may carry: `if_version`, under which a point is written, and `request_id`, what the write
/// is called.
extension JSONElement {
    /// A version that a write expects, 0 or null for a point that does not exist; nil when the field is absent.
    func expectedVersion() throws(DialectError) -> SequenceNumber? {
        guard let value = try fieldOrNull("if_version") else { return nil }
        return try within("if_version") { () throws(DialectError) in try value.asVersion() }
    }

    func asVersion() throws(DialectError) -> SequenceNumber {
        if isNull { return .zero }
        guard let number = unsignedValue else {
            throw DialectError("", "an unsigned 64-bit integer or null is expected, not \(shown)")
        }
        return SequenceNumber(number)
    }
}

extension API {
    /// `?if_version=`: the same for every point of the request.
    func expectedVersion(_ request: Request) throws -> SequenceNumber? {
        guard let text = request.uri.queryParameters["if_version"] else { return nil }
        guard let number = UInt64(text), text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0 }) else {
            throw DialectError("if_version", "\(quoted(text)) is not an unsigned 64-bit integer")
        }
        return SequenceNumber(number)
    }

    /// What the client called the request: in the body or the query as `request_id`, or in the header
    /// `Idempotency-Key`.
    func requestID(_ request: Request, inBody body: String?) throws -> String? {
        let query = request.uri.queryParameters["request_id"].map { String($0) }
        let header = HTTPField.Name.idempotencyKey.flatMap { request.headers[$0] }
        let given = [("request_id", body), ("request_id", query), ("Idempotency-Key", header)]
        var found: String?
        for (name, id) in given {
            guard let id else { continue }
            let range = Limits.requestIDBytes
            guard range.contains(id.utf8.count) else {
                throw DialectError(
                    name, "\(id.utf8.count) bytes, where \(range.lowerBound) to \(range.upperBound) are allowed")
            }
            guard found == nil || found == id else { throw DialectError(name, "another request id is given too") }
            found = id
        }
        return found
    }
}

extension HTTPField.Name {
    /// Of the draft "The Idempotency-Key HTTP Header Field" (IETF httpapi).
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")
}
