internal import DataModel

/// What a verification of a shard looked at, and everything that is not as it should be.
package struct VerificationReport: Sendable, Equatable {
    /// Damage is named one by one up to this many: what follows is counted.
    package static let maximumFindings = 100

    package var points: UInt64 = 0
    package var rows: UInt64 = 0
    package var vectorBlocks: UInt64 = 0
    package var indexBlocks: UInt64 = 0
    package var logEntries: UInt64 = 0
    /// Of payload indexes.
    package var indexEntries: UInt64 = 0
    /// In words that name the table, and the key or block.
    package private(set) var findings: [String] = []
    /// The same of `index`, which can be made anew.
    package private(set) var indexFindings: [String] = []
    package private(set) var unnamedFindings: UInt64 = 0

    package var isSound: Bool { findings.isEmpty && indexFindings.isEmpty }

    package var allFindings: [String] {
        findings + indexFindings + (unnamedFindings == 0 ? [] : ["... and \(unnamedFindings) more"])
    }

    package var summary: String {
        "\(points) points, \(rows) rows, \(vectorBlocks) vector blocks, \(logEntries) log entries, "
            + "\(indexEntries) entries of payload indexes, \(indexBlocks) index blocks: "
            + (isSound ? "sound" : "\(UInt64(findings.count + indexFindings.count) + unnamedFindings) damaged")
    }

    package init() {}

    mutating func note(_ finding: String) {
        let isOfIndex = finding.hasPrefix("index")
        guard (isOfIndex ? indexFindings : findings).count < Self.maximumFindings else { return unnamedFindings += 1 }
        if isOfIndex { indexFindings.append(finding) } else { findings.append(finding) }
    }

    /// Runs `body`, and notes what it throws.
    mutating func noting(_ what: String, _ body: (inout Self) throws -> Void) {
        do {
            try body(&self)
        } catch {
            note("\(what): \(ShardError(storage: error))")
        }
    }
}
