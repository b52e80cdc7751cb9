import Foundation
import Testing

extension TestServer {
    /// A collection `c` of four dimensions with ten points: point n is `[n, 1, 0.5, 0.25]` with the payload `{"n": n}`.
    func fill(distance: String = "Dot") async throws {
        let created = try await send("PUT", "/collections/c", #"{"vectors":{"size":4,"distance":"\#(distance)"}}"#)
        #expect(created.status == 200)
        let points = (1...10).map { #"{"id":\#($0),"vector":[\#($0),1,0.5,0.25],"payload":{"n":\#($0)}}"# }
        let written = try await send(
            "PUT", "/collections/c/points?wait=true", #"{"points":[\#(points.joined(separator: ","))]}"#)
        #expect(written.status == 200)
    }

    func search(_ body: String, collection: String = "c") async throws -> Answer {
        try await send("POST", "/collections/\(collection)/points/query", body)
    }
}

extension Answer {
    /// The `result` as the response has it, byte for byte.
    var resultText: String {
        guard body.hasPrefix(#"{"result":"#), let end = body.range(of: #","status":"ok","time":"#, options: .backwards)
        else { return "" }
        return String(body.dropFirst(10)[..<end.lowerBound])
    }

    /// The ids of `result.points` or of `result`.
    var ids: [Int] {
        let points = (result as? [String: Any])?["points"] ?? result
        return (points as? [[String: Any]] ?? []).compactMap { $0["id"] as? Int }
    }
}
