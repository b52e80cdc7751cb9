import DataModel

/// The bodies of reads by id.
struct RetrieveCommand: Sendable {
    var request: RetrieveRequest
    var payload: PayloadSelector
}

struct ScrollCommand: Sendable {
    var request: ScrollRequest
    var payload: PayloadSelector
}

extension JSONElement {
    func retrieveCommand() throws(DialectError) -> RetrieveCommand {
        try requireObject()
        try refuse("shard_key")
        let payload = try payloadSelector(default: .all)
        return RetrieveCommand(
            request: RetrieveRequest(
                ids: try pointIDs("ids"), withPayload: payload.isWanted, withVectors: try vectorSelector(),
                isSettled: try bool("with_version") ?? false),
            payload: payload)
    }

    func scrollCommand() throws(DialectError) -> ScrollCommand {
        try requireObject()
        try refuse("order_by", "shard_key")
        let payload = try payloadSelector(default: .all)
        let start = try field("offset")
        return ScrollCommand(
            request: ScrollRequest(
                start: try start.map { (start) throws(DialectError) in
                    try within("offset") { () throws(DialectError) in try PointID(start) }
                },
                limit: try integer("limit", in: 1...Limits.resultWindow.upperBound) ?? 10,
                filter: try FilterReader.filter(of: self), withPayload: payload.isWanted,
                withVectors: try vectorSelector(), isSettled: try bool("with_version") ?? false),
            payload: payload)
    }

    /// The filter of a count; nil to count all. Every count is exact.
    func countFilter() throws(DialectError) -> Filter? {
        try requireObject()
        try refuse("shard_key")
        _ = try bool("exact")
        return try FilterReader.filter(of: self)
    }
}
