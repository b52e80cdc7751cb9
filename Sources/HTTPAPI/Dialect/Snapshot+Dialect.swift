import Coordinator
import DataModel
import Foundation

/// Snapshots as the dialect describes them, and what it asks of a recovery.
extension JSONWriter {
    mutating func snapshot(_ snapshot: SnapshotDescription) {
        raw("{\"name\":")
        string(snapshot.name)
        raw(",\"creation_time\":")
        string(
            Date(timeIntervalSince1970: snapshot.createdAt)
                .formatted(.iso8601.year().month().day().time(includingFractionalSeconds: false)))
        raw(",\"size\":")
        integer(snapshot.bytes)
        raw(",\"checksum\":")
        if let checksum = snapshot.checksum { string(checksum) } else { raw("null") }
        raw("}")
    }
}

/// Where to recover from, and how.
struct SnapshotRecovery: Sendable {
    var location: String
    var options: RecoveryOptions
}

extension JSONElement {
    func snapshotRecovery() throws(DialectError) -> SnapshotRecovery {
        try requireObject()
        guard let location = try string("location") else { throw DialectError("location", "the field is missing") }
        return SnapshotRecovery(
            location: location,
            options: RecoveryOptions(
                priority: try string("priority").map { text throws(DialectError) in try SnapshotPriority(dialect: text)
                },
                checksum: try string("checksum").map { text throws(DialectError) in try checkedSHA256(text) },
                apiKey: try string("api_key").map { text throws(DialectError) in try checkedAPIKey(text) }))
    }
}

extension SnapshotPriority {
    init(dialect text: String) throws(DialectError) {
        guard let priority = SnapshotPriority(rawValue: text) else {
            let choices = SnapshotPriority.allCases.map(\.rawValue).joined(separator: ", ")
            throw DialectError("priority", "\(quoted(text)) is not one of \(choices)")
        }
        self = priority
    }
}

/// A checksum as clients may write it.
func checkedSHA256(_ text: String) throws(DialectError) -> String {
    guard text.utf8.count == 64, text.allSatisfy(\.isHexDigit) else {
        throw DialectError("checksum", "\(quoted(text)) is not a SHA-256 in 64 hexadecimal digits")
    }
    return text.lowercased()
}

/// What becomes a header must not end it.
private func checkedAPIKey(_ text: String) throws(DialectError) -> String {
    guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
        throw DialectError("api_key", "it has characters that a header cannot have")
    }
    return text
}
