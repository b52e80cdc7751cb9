import Coordinator
import DataModel

/// A query as the dialect knows it: a search, or without a target a listing in order of ids.
struct QueryCommand: Sendable {
    enum Kind: Sendable {
        case search(Query)
        case listing(ScrollRequest, offset: Int)
    }

    var kind: Kind
    var payload: PayloadSelector
}

extension JSONElement {
    /// The body of `points/query`.
    func queryCommand() throws(DialectError) -> QueryCommand {
        try requireObject()
        try refuse("prefetch", "lookup_from", "shard_key", "group_by")
        // Always in the answer.
        _ = try bool("with_version")
        guard let target = try field("query") else { return try listingCommand() }
        let space = try string("using") ?? ""
        return try searchCommand(
            target: within("query") { () throws(DialectError) in try target.queryTarget() }, space: space)
    }

    /// The body of the older `points/search`.
    func olderSearchCommand() throws(DialectError) -> QueryCommand {
        try requireObject()
        try refuse("shard_key", "group_by", "lookup_from")
        let vector = try requiredField("vector")
        let (space, values) = try within("vector") { () throws(DialectError) in try vector.searchVector() }
        return try searchCommand(target: .vector(values), space: space)
    }

    /// `{"searches": [...]}`, each read by `read`.
    func searches(
        _ read: (JSONElement) throws(DialectError) -> QueryCommand
    ) throws(DialectError) -> [QueryCommand] {
        try requireObject()
        let list = try requiredField("searches")
        guard list.isArray else { throw DialectError("searches", "an array is expected, not \(list.typeName)") }
        guard list.count <= Limits.batchQueries else {
            throw DialectError("searches", "\(list.count) are more than the limit of \(Limits.batchQueries)")
        }
        var commands: [QueryCommand] = []
        for element in list.elements {
            do { commands.append(try read(element)) } catch { throw error.within("searches[\(commands.count)]") }
        }
        return commands
    }

    private func searchCommand(target: QueryTarget, space: String) throws(DialectError) -> QueryCommand {
        let payload = try payloadSelector(default: .none)
        let (limit, offset) = try window()
        let parameters = try SearchParameters(of: self)
        let query = Query(
            target: target, space: space, filter: try FilterReader.filter(of: self), limit: limit, offset: offset,
            scoreThreshold: try float("score_threshold"), ef: parameters.ef, recall: parameters.recall,
            exact: parameters.exact, quantization: parameters.quantization, withPayload: payload.isWanted,
            withVectors: try vectorSelector(), profile: parameters.profile)
        return QueryCommand(kind: .search(query), payload: payload)
    }

    private func listingCommand() throws(DialectError) -> QueryCommand {
        let payload = try payloadSelector(default: .none)
        let (limit, offset) = try window()
        let request = ScrollRequest(
            start: nil, limit: offset + limit, filter: try FilterReader.filter(of: self),
            withPayload: payload.isWanted, withVectors: try vectorSelector())
        return QueryCommand(kind: .listing(request, offset: offset), payload: payload)
    }

    private func window() throws(DialectError) -> (limit: Int, offset: Int) {
        let largest = Limits.resultWindow.upperBound
        // The older search calls it `top`.
        let top = try integer("top", in: 1...largest)
        let limit = try integer("limit", in: 1...largest) ?? top ?? 10
        let offset = try integer("offset", in: 0...largest) ?? 0
        guard offset + limit <= largest else {
            throw DialectError("limit", "offset + limit, \(offset + limit), is more than the limit of \(largest)")
        }
        return (limit, offset)
    }

    /// What is searched for: a vector, a point's id, or `{"nearest": ...}` of either.
    private func queryTarget() throws(DialectError) -> QueryTarget {
        if isArray { return .vector(try vector()) }
        guard isObject else { return .point(try PointID(self)) }
        if let nearest = try field("nearest") {
            try refuse("mmr")
            guard !nearest.isObject else {
                return .vector(try within("nearest") { () throws(DialectError) in try nearest.vector() })
            }
            return try within("nearest") { () throws(DialectError) in try nearest.queryTarget() }
        }
        // Names the kind of query, such as `fusion` or `recommend`, that would have been run.
        guard let (name, _) = fields.first(where: { !$0.value.isNull }) else {
            throw DialectError("", "the object is empty")
        }
        if name == "indices" || name == "values" { throw DialectError("", "sparse vectors are not supported") }
        throw DialectError(String(name.prefix(64)), "this kind of query is not supported")
    }
}
