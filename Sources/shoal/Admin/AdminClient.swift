import AsyncHTTPClient
import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import NIOPosix

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Why an administrative request got no result.
package enum AdminError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What each of the nodes that were tried said.
    case noNodeAnswers([String])
    /// The node understood, and said no.
    case refused(status: UInt, message: String)
    /// Not Shoal, or another version of it.
    case unexpectedAnswer(url: String, reason: String)
    /// The connection broke after the request was sent: it may have taken effect.
    case unknownOutcome(url: String, reason: String)

    package var description: String {
        switch self {
        case .noNodeAnswers(let attempts):
            "no node answers; is the cluster up? (`shoal status`)\n"
                + attempts.map { "  \($0)" }.joined(separator: "\n")
        case .refused(let status, let message): "\(message) (HTTP \(status))"
        case .unexpectedAnswer(let url, let reason): "\(url) does not answer like a node of Shoal: \(reason)"
        case .unknownOutcome(let url, let reason):
            "\(url) was asked and did not answer (\(reason)); look at `shoal cluster operations` before trying again"
        }
    }
}

/// Speaks to the cluster through the first of its nodes that is ready.
struct AdminClient: Sendable {
    /// Base URLs of nodes, tried in order.
    let urls: [String]

    /// Unlike `HTTPClient.shared`, it does not try again behind our back: who refuses a connection is down, and the next
    /// node is asked at once.
    static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
    }()

    static let requestTimeout = TimeAmount.seconds(60)
    /// For what takes as long as its data is large: a little more than the longest time that a node gives itself.
    static let longestTimeout = TimeAmount.seconds(3_660)
    private static let largestAnswerBytes = 64 << 20

    /// - Throws: `AdminError`.
    func get<Result: Decodable>(_ path: String, as type: Result.Type) async throws -> Result {
        try await send(.GET, path, body: nil)
    }

    /// - Throws: `AdminError`.
    func post<Result: Decodable>(
        _ path: String, _ body: (any Encodable)? = nil, timeout: TimeAmount = requestTimeout, as type: Result.Type
    ) async throws -> Result {
        try await send(.POST, path, body: body.map { Array(try JSONEncoder().encode($0)) }, timeout: timeout)
    }

    /// - Throws: `AdminError`.
    func delete<Result: Decodable>(_ path: String, as type: Result.Type) async throws -> Result {
        try await send(.DELETE, path, body: nil)
    }

    private func send<Result: Decodable>(
        _ method: HTTPMethod, _ path: String, body: [UInt8]?, timeout: TimeAmount = requestTimeout
    ) async throws -> Result {
        let url = try await readyNode()
        var request = HTTPClientRequest(url: url + path)
        request.method = method
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        let status: UInt
        let answer: ByteBuffer
        do {
            let response = try await Self.http.execute(request, timeout: timeout)
            status = response.status.code
            answer = try await response.body.collect(upTo: Self.largestAnswerBytes)
        } catch {
            throw AdminError.unknownOutcome(url: url, reason: Self.reason(of: error))
        }
        guard (200..<300).contains(status) else {
            let message = ErrorEnvelope.message(in: answer) ?? "the node gave no reason"
            throw AdminError.refused(status: status, message: message)
        }
        do {
            return try JSONDecoder().decode(ResultEnvelope<Result>.self, from: answer).result
        } catch {
            throw AdminError.unexpectedAnswer(url: url, reason: "\(error)")
        }
    }

    /// The first node that is ready; else the first that answers at all, whose refusal then says why.
    private func readyNode() async throws -> String {
        var attempts: [String] = []
        var answering: String?
        for url in urls {
            do {
                let response = try await Self.http.execute(
                    HTTPClientRequest(url: "\(url)/readyz"), timeout: .seconds(2))
                _ = try await response.body.collect(upTo: Self.largestAnswerBytes)
                if response.status == .ok { return url }
                answering = answering ?? url
            } catch {
                attempts.append("\(url): \(Self.reason(of: error))")
            }
        }
        if let answering { return answering }
        throw AdminError.noNodeAnswers(attempts)
    }

    /// The words of an error for people, without the types around it.
    static func reason(of error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            return error.connectionErrors.first.map { reason(of: $0.error) } ?? "cannot be reached"
        case let error as HTTPClientError where error == .connectTimeout || error == .deadlineExceeded:
            return "does not answer in time"
        case let error as HTTPClientError: return "\(error.shortDescription)"
        case let error as IOError where error.errnoCode == 111: return "connection refused"
        case let error as IOError: return "\(error)"
        default: return "\(error)"
        }
    }
}

/// What wraps every successful answer of the HTTP API.
struct ResultEnvelope<Result: Decodable>: Decodable {
    var result: Result
}

/// What wraps every other one: `{"status": {"error": "..."}}`.
struct ErrorEnvelope: Decodable {
    struct Status: Decodable { var error: String }
    var status: Status

    static func message(in body: ByteBuffer) -> String? {
        try? JSONDecoder().decode(ErrorEnvelope.self, from: body).status.error
    }
}
