import Coordinator
import DataModel
import HTTPTypes
import Hummingbird

extension ReadOptions {
    /// `?consistency=` and `?allow_partial=`.
    ///
    /// - Parameters:
    ///   - settled: whether the read is the primary's, which no consistency makes better.
    ///   - mayBePartial: whether leaving out shards makes sense.
    init(of request: Request, settled: Bool = false, mayBePartial: Bool = true) throws(DialectError) {
        self.init()
        let parameters = request.uri.queryParameters
        if let text = parameters["consistency"], !text.isEmpty { consistency = try ReadConsistency(parameter: text) }
        guard !settled || consistency != .stale else {
            throw DialectError("consistency", "`with_version` reads what is acknowledged, which `stale` may not be")
        }
        guard let text = parameters["allow_partial"], !text.isEmpty else { return }
        switch text {
        case "true" where mayBePartial: allowsPartial = true
        case "true": throw DialectError("allow_partial", "one point is in one shard; there is no part of it")
        case "false": break
        default: throw DialectError("allow_partial", "\(quoted(text)) is neither `true` nor `false`")
        }
    }
}

extension ReadConsistency {
    fileprivate init(parameter text: Substring) throws(DialectError) {
        switch text {
        case "majority": self = .majority
        case "quorum": self = .quorum
        case "all": self = .all
        case "stale": self = .stale
        default:
            guard let count = Int(text), count >= 1 else {
                throw DialectError(
                    "consistency",
                    "\(quoted(text)) is none of `majority`, `quorum`, `all`, `stale` and a number of replicas from 1 on")
            }
            self = count == 1 ? .one : .factor(count)
        }
    }
}

extension Envelope {
    private static let staleHeader = HTTPField.Name("shoal-stale")
    private static let missingShardsHeader = HTTPField.Name("shoal-missing-shards")

    /// The same for a read: what its reader has to know of it comes beside the result, and in headers.
    static func ok<Value: Sendable>(
        _ context: APIContext, _ reading: Reading<Value>, extras: (inout JSONWriter) -> Void = { _ in },
        _ write: (inout JSONWriter) -> Void
    ) -> Response {
        var response = ok(
            context,
            extras: { writer in
                if reading.isStale { writer.raw(",\"stale\":true") }
                if !reading.missingShards.isEmpty {
                    writer.raw(",\"partial\":{\"missing_shards\":")
                    writer.array(reading.missingShards) { $0.integer($1.rawValue) }
                    writer.raw("}")
                }
                extras(&writer)
            }, write)
        if reading.isStale, let name = staleHeader { response.headers[name] = "true" }
        if !reading.missingShards.isEmpty, let name = missingShardsHeader {
            response.headers[name] = reading.missingShards.map(\.description).joined(separator: ",")
        }
        return response
    }
}
