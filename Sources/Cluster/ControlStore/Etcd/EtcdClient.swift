import AsyncHTTPClient
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// Calls etcd's gRPC-JSON gateway: one member at a time, the next one when it fails.
///
/// A call may be carried out twice, so each must be one that may.
final class EtcdClient: Sendable {
    /// The answer to a call.
    struct Answer<Body: Sendable>: Sendable {
        var body: Body
        /// Whether an earlier attempt of the same call may have taken effect too.
        var isRepeated: Bool
    }

    /// Why a call failed, for good or after all patience.
    struct CallError: Error {
        var failure: EtcdFailure
        var isRepeated: Bool
    }

    private struct Guarded {
        var endpoints: EtcdEndpoints
        /// The cluster that all endpoints must belong to.
        var clusterID: UInt64?
        var verified: Set<String> = []
        var token: String?
    }

    /// For a handshake with a member that is not there: its machine is down.
    private static let connectTimeout = TimeAmount.seconds(1)

    let options: EtcdOptions
    let logger: Logger
    private let http: HTTPClient
    private let guarded: Mutex<Guarded>

    /// - Throws: `unavailable` when a file of the TLS settings cannot be read.
    init(options: EtcdOptions, logger: Logger) throws(ControlStoreError) {
        self.options = options
        self.logger = logger
        guarded = Mutex(Guarded(endpoints: EtcdEndpoints(options.endpoints)))
        var configuration = HTTPClient.Configuration()
        configuration.tlsConfiguration = try EtcdTLS.configuration(options.tls)
        configuration.timeout.connect = Self.connectTimeout
        // We know a better member to try.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func shutdown() async { try? await http.shutdown() }

    /// For a client that goes without having been closed.
    func shutdownLater() { http.shutdown { _ in } }

    var endpoint: String { guarded.withLock { $0.endpoints.current } }

    /// Turns to another member, after this one failed, and waits a little when all have.
    ///
    /// - Parameter count: the failures in a row, this one included.
    func moveOn(from endpoint: String, failures count: Int) async {
        let pause = guarded.withLock { guarded in
            guarded.endpoints.failed(endpoint)
            return guarded.endpoints.pause(afterFailures: count)
        }
        if let pause { try? await Task.sleep(for: pause) }
    }

    // MARK: - Calls

    /// Calls one member after the other until one answers or the patience ends.
    func call<Body: Decodable & Sendable>(
        _ path: String, _ request: some Encodable & Sendable, patience: Duration? = nil
    ) async throws(CallError) -> Answer<Body> {
        let deadline = ContinuousClock.now + (patience ?? options.patience)
        var isRepeated = false
        var failures = 0
        while true {
            let endpoint = endpoint
            let result: Result<Body, EtcdFailure> = await attempt(path, request, on: endpoint)
            let failure: EtcdFailure
            switch result {
            case .success(let body): return Answer(body: body, isRepeated: isRepeated)
            case .failure(let error): failure = error
            }
            if case .unanswered = failure { isRepeated = true }
            failures += 1
            guard failure.isTransient, ContinuousClock.now < deadline, !Task.isCancelled else {
                throw CallError(failure: failure, isRepeated: isRepeated)
            }
            await moveOn(from: endpoint, failures: failures)
        }
    }

    /// Calls one member once; signs in anew when it asks for that.
    func attempt<Body: Decodable & Sendable>(
        _ path: String, _ request: some Encodable & Sendable, on endpoint: String, timeout: Duration? = nil
    ) async -> Result<Body, EtcdFailure> {
        let timeout = timeout ?? options.attemptTimeout
        if let failure = await verify(endpoint, timeout: timeout) { return .failure(failure) }
        let result: Result<Body, EtcdFailure> = await post(path, request, to: endpoint, timeout: timeout)
        guard case .failure(.unauthenticated) = result else { return result }
        if let failure = await signIn(at: endpoint, timeout: timeout) { return .failure(failure) }
        return await post(path, request, to: endpoint, timeout: timeout)
    }

    /// Opens a call whose answer is a stream that does not end by itself.
    func stream(
        _ path: String, _ request: some Encodable & Sendable, on endpoint: String
    ) async throws(EtcdFailure) -> HTTPClientResponse.Body {
        let timeout = options.attemptTimeout
        if let failure = await verify(endpoint, timeout: timeout) { throw failure }
        do {
            let answer = try await http.execute(
                httpRequest(path, try JSONEncoder().encode(request), endpoint), timeout: TimeAmount(timeout))
            return answer.body
        } catch {
            throw Self.failure(error, endpoint)
        }
    }

    private func post<Body: Decodable & Sendable>(
        _ path: String, _ request: some Encodable & Sendable, to endpoint: String, timeout: Duration
    ) async -> Result<Body, EtcdFailure> {
        do {
            let payload = try JSONEncoder().encode(request)
            let data = try await withTimeout(timeout) { [self] in
                let answer = try await http.execute(
                    httpRequest(path, payload, endpoint), timeout: TimeAmount(timeout))
                return Data(try await answer.body.collect(upTo: EtcdLimits.answerBytes).readableBytesView)
            }
            if let body = try? JSONDecoder().decode(Body.self, from: data) { return .success(body) }
            guard let failure = try? JSONDecoder().decode(Etcd.Failure.self, from: data) else {
                let text = String(decoding: data.prefix(200), as: UTF8.self)
                return .failure(
                    .unanswered(reason: "\(endpoint) does not answer like etcd's v3 JSON gateway, but `\(text)`"))
            }
            return .failure(EtcdFailure(failure, at: endpoint))
        } catch {
            return .failure(Self.failure(error, endpoint))
        }
    }

    private func httpRequest(_ path: String, _ payload: Data, _ endpoint: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: endpoint + "/v3/" + path)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        if let token = guarded.withLock({ $0.token }) { request.headers.add(name: "Authorization", value: token) }
        request.body = .bytes(payload)
        return request
    }

    // MARK: - Members

    /// Before a member is used for the first time: that it belongs to the same cluster as the others. Two halves of our
    /// state in two clusters would be the end of it.
    private func verify(_ endpoint: String, timeout: Duration) async -> EtcdFailure? {
        if guarded.withLock({ $0.verified.contains(endpoint) }) { return nil }
        let needsToken = guarded.withLock { $0.token == nil } && options.credentials != nil
        if needsToken, let failure = await signIn(at: endpoint, timeout: timeout) { return failure }
        let question = Etcd.RangeRequest(key: Data(options.prefix.utf8), countOnly: true)
        let result: Result<Etcd.Acknowledgement, EtcdFailure> = await post(
            "kv/range", question, to: endpoint, timeout: timeout)
        switch result {
        case .failure(let failure): return failure
        case .success(let answer):
            let id = answer.header.clusterID?.value ?? 0
            let isOurs = guarded.withLock { guarded in
                if let known = guarded.clusterID, known != id { return false }
                guarded.clusterID = id
                guarded.verified.insert(endpoint)
                return true
            }
            if isOurs { return nil }
            let reason =
                "\(endpoint) belongs to another etcd cluster than the endpoint that answered first: correct "
                + "control.etcd.endpoints in cluster.yaml"
            logger.error("\(reason)")
            return .unreachable(reason: reason)
        }
    }

    private func signIn(at endpoint: String, timeout: Duration) async -> EtcdFailure? {
        guard let credentials = options.credentials else {
            return .refused(reason: "\(endpoint) asks for a user: set control.etcd.user and passwordFile")
        }
        guarded.withLock { $0.token = nil }
        let request = Etcd.AuthenticateRequest(name: credentials.user, password: credentials.password)
        let result: Result<Etcd.AuthenticateResponse, EtcdFailure> = await post(
            "auth/authenticate", request, to: endpoint, timeout: timeout)
        switch result {
        case .success(let answer):
            guarded.withLock { $0.token = answer.token }
            return nil
        case .failure(let failure): return failure
        }
    }

    // MARK: - Errors

    static func failure(_ error: any Error, _ endpoint: String) -> EtcdFailure {
        let hint = "is etcd running there, and is control.etcd.endpoints right?"
        let lateAnswer = EtcdFailure.unanswered(
            reason: "\(endpoint) did not answer in time: has etcd lost its majority?")
        switch error {
        case let error as EtcdFailure: return error
        case let error as NIOConnectionError:
            let cause = error.connectionErrors.first.map { "\($0.error)" } ?? error.dnsAError.map { "\($0)" }
            return .unreachable(reason: "\(endpoint) cannot be reached (\(cause ?? "no address")): \(hint)")
        case let error as IOError where [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(error.errnoCode):
            return .unreachable(
                reason: "\(endpoint) cannot be reached (\(String(cString: strerror(error.errnoCode)))): \(hint)")
        case let error as HTTPClientError where error == .connectTimeout:
            return .unreachable(reason: "\(endpoint) cannot be reached in time: \(hint)")
        case is NIOSSLError, is BoringSSLError:
            return .unreachable(reason: "\(endpoint): TLS failed (\(error)): see control.etcd.tls")
        case let error as HTTPClientError where error == .deadlineExceeded: return lateAnswer
        case is TimeoutError: return lateAnswer
        default: return .unanswered(reason: "\(endpoint): \(error)")
        }
    }
}

extension EtcdFailure {
    fileprivate init(_ failure: Etcd.Failure, at endpoint: String) {
        let failure = EtcdFailure(failure)
        self =
            switch failure {
            case .unreachable(let reason): .unreachable(reason: "\(endpoint): \(reason)")
            case .unanswered(let reason): .unanswered(reason: "\(endpoint): \(reason)")
            case .refused(let reason): .refused(reason: "\(endpoint): \(reason)")
            case .unauthenticated, .leaseNotFound, .leaseExists, .compacted: failure
            }
    }
}

extension TimeAmount {
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}

private struct TimeoutError: Error {}

/// The client's own timeout ends with the head of an answer.
private func withTimeout<Value: Sendable>(
    _ timeout: Duration, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask(operation: body)
        group.addTask {
            try await Task.sleep(for: timeout)
            throw TimeoutError()
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw TimeoutError() }
        return value
    }
}
