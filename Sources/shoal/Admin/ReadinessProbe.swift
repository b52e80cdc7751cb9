import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// Asks a node whether it can take requests.
enum ReadinessProbe {
    /// A node that is stopped, or busy beyond hope, is not ready.
    private static let timeout = TimeAmount.seconds(2)
    private static let largestAnswerBytes = 64 << 10

    /// Nil when the node is ready.
    static func notReadyReason(url: String) async -> String? {
        do {
            let request = HTTPClientRequest(url: "\(url)/readyz")
            let response = try await AdminClient.http.execute(request, timeout: timeout)
            let body = try await response.body.collect(upTo: largestAnswerBytes)
            if response.status == .ok { return nil }
            let text = String(buffer: body)
            return text.isEmpty ? "answered \(response.status.code)" : ErrorEnvelope.message(in: body) ?? text
        } catch {
            return AdminClient.reason(of: error)
        }
    }
}
