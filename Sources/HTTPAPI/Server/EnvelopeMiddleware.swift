import HTTPTypes
import Hummingbird
import Logging
import Metrics
import NIOCore
import Synchronization

/// Turns errors into the dialect's envelope, and counts and times every request.
struct EnvelopeMiddleware: RouterMiddleware {
    let metrics: RequestMetrics

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let response: Response
        do {
            response = try await next(request, context)
        } catch {
            response = Envelope.failure(apiError(error, request, context), context)
        }
        metrics.record(route: context.endpointPath ?? "none", status: response.status.code, since: context.start)
        return response
    }

    private func apiError(_ error: any Error, _ request: Request, _ context: APIContext) -> APIError {
        if let error = error as? HTTPError, error.status == .notFound, error.body == nil {
            return APIError(.notFound, "Not found: no such path, \(quoted(request.uri.path))")
        }
        guard var known = APIError(any: error) else {
            context.logger.error(
                "a request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            return APIError(.internalServerError, "Service internal error")
        }
        if known.status == .gatewayTimeout {
            let limit = request.uri.queryParameters["timeout"].map { "`timeout` is \($0) s" } ?? "no `timeout` was given"
            known.message += " (\(limit))"
        }
        if known.status.kind == .serverError {
            context.logger.warning(
                "a request failed", metadata: ["path": "\(request.uri.path)", "error": "\(known.message)"])
        }
        return known
    }
}

/// `shoal_http_requests_total{route,status}` and `shoal_http_request_seconds{route}`.
final class RequestMetrics: Sendable {
    private struct Key: Hashable {
        var route: String
        var status: Int
    }

    private let counters = Mutex<[Key: Counter]>([:])
    private let timers = Mutex<[String: Metrics.Timer]>([:])

    func record(route: String, status: Int, since start: ContinuousClock.Instant) {
        let counter = counters.withLock { counters in
            let key = Key(route: route, status: status)
            if let counter = counters[key] { return counter }
            let counter = Counter(
                label: "shoal_http_requests_total", dimensions: [("route", route), ("status", String(status))])
            counters[key] = counter
            return counter
        }
        let timer = timers.withLock { timers in
            if let timer = timers[route] { return timer }
            let timer = Metrics.Timer(label: "shoal_http_request_seconds", dimensions: [("route", route)])
            timers[route] = timer
            return timer
        }
        counter.increment()
        timer.record(duration: ContinuousClock.now - start)
    }
}
