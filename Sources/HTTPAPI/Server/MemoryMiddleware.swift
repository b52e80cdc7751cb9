import Coordinator
import Hummingbird

/// Keeps the books of each request's memory, until its response is written.
struct MemoryMiddleware: RouterMiddleware {
    /// A shorter response fits the socket's buffer: nobody waits for it to be written.
    private static let largestUncountedResponse = 64 << 10

    let budget: MemoryBudget

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let memory = RequestMemory(budget)
        var response: Response
        do {
            response = try await RequestMemory.$current.withValue(memory) { try await next(request, context) }
        } catch {
            memory.end()
            throw error
        }
        guard let length = response.body.contentLength, length > Self.largestUncountedResponse else {
            memory.end()
            return response
        }
        // What is never written, since the connection is gone, is given back when the response is dropped.
        let body = response.body
        response.body = ResponseBody(contentLength: length) { writer in
            defer { memory.end() }
            try await body.write(writer)
        }
        return response
    }
}
