import Coordinator
import DataModel
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// The dialect's envelope: `{"result": ..., "status": "ok", "time": seconds}`.
enum Envelope {
    /// A response with the result that `write` writes, and fields beside it, each after a comma, that `extras` writes.
    static func ok(
        _ context: APIContext, extras: (inout JSONWriter) -> Void = { _ in }, _ write: (inout JSONWriter) -> Void
    ) -> Response {
        var writer = JSONWriter()
        writer.raw("{\"result\":")
        write(&writer)
        writer.raw(",\"status\":\"ok\",\"time\":")
        writer.double(context.elapsedSeconds)
        extras(&writer)
        writer.raw("}")
        return response(.ok, writer)
    }

    /// The same for administrative results, whose JSON is their Codable form.
    static func ok(_ context: APIContext, encoding result: some Encodable) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(result)
        return ok(context) { $0.raw(data) }
    }

    static func failure(_ error: APIError, _ context: APIContext) -> Response {
        var writer = JSONWriter()
        writer.raw("{\"status\":{\"error\":")
        writer.string(error.message)
        if let conflict = error.conflict { writer.conflict(conflict) }
        writer.raw("},\"time\":")
        writer.double(context.elapsedSeconds)
        writer.raw("}")
        var response = response(error.status, writer)
        if let seconds = error.retryAfterSeconds { response.headers[.retryAfter] = String(seconds) }
        if error.closesConnection { response.headers[.connection] = "close" }
        return response
    }

    /// A body without an envelope.
    static func plain(_ status: HTTPResponse.Status, _ text: String, type: String = "text/plain") -> Response {
        Response(
            status: status, headers: [.contentType: "\(type); charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    static func response(_ status: HTTPResponse.Status, _ writer: JSONWriter) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: writer.buffer))
    }
}

extension JSONWriter {
    /// Which points were not as they were expected, and which shards have done their parts all the same.
    fileprivate mutating func conflict(_ conflict: WriteConflict) {
        raw(",\"conflicts\":")
        array(conflict.refusals) { writer, refusal in
            writer.raw("{\"point\":")
            writer.pointID(refusal.conflict.point)
            writer.raw(",\"shard\":")
            writer.integer(refusal.shard.rawValue)
            writer.raw(",\"expected\":")
            writer.integer(refusal.conflict.expected.rawValue)
            writer.raw(",\"actual\":")
            writer.integer(refusal.conflict.actual.rawValue)
            writer.raw("}")
        }
        raw(",\"applied_shards\":")
        array(conflict.applied) { $0.integer($1.rawValue) }
    }
}
