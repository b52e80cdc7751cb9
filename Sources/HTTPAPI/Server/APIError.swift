import Coordinator
import DataModel
import HTTPTypes
import Hummingbird

/// An error with the status that the dialect gives it. Only this layer knows statuses.
struct APIError: Error, Equatable {
    var status: HTTPResponse.Status
    var message: String
    /// Seconds after which trying again makes sense; nil when it does not.
    var retryAfterSeconds: Int?
    /// The request's body was not read to its end, so the connection cannot carry another request.
    var closesConnection: Bool
    /// What the envelope says for programs, beside the message.
    var conflict: WriteConflict?

    init(
        _ status: HTTPResponse.Status, _ message: String, retryAfterSeconds: Int? = nil, closesConnection: Bool = false,
        conflict: WriteConflict? = nil
    ) {
        self.closesConnection = closesConnection
        self.conflict = conflict
        self.status = status
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
    }

    static let bodyBroken = APIError(
        .badRequest, "the body ended early or its framing is broken", closesConnection: true)

    init(bodyAbove limit: Int) {
        self.init(
            .contentTooLarge, "the body is larger than the limit of \(limit) bytes", closesConnection: true)
    }

    init(_ error: DialectError) {
        self.init(.badRequest, "Wrong input: \(error)")
    }

    init(_ error: DatabaseError) {
        switch error {
        case .collectionNotFound(let name):
            self.init(.notFound, "Not found: Collection `\(name)` doesn't exist!")
        case .collectionExists(let name):
            self.init(.conflict, "Wrong input: Collection `\(name)` already exists!")
        case .pointNotFound(let id): self.init(pointNotFound: id)
        case .operationNotFound(let id): self.init(.notFound, "Not found: Operation `\(id)` doesn't exist!")
        case .snapshotNotFound(let name): self.init(.notFound, "Not found: Snapshot `\(name)` doesn't exist!")
        case .writeConflict(let conflict): self.init(.conflict, "Conflict: \(conflict)", conflict: conflict)
        case .requestIDReused(let reason): self.init(.unprocessableContent, "Wrong input: \(reason)")
        case .invalid(let reason): self.init(.badRequest, "Wrong input: \(reason)")
        case .unavailable(let reason):
            self.init(.serviceUnavailable, "Service unavailable: \(reason)", retryAfterSeconds: 1)
        case .overloaded(let reason): self.init(.tooManyRequests, "Overloaded: \(reason)", retryAfterSeconds: 1)
        case .outOfSpace(let reason): self.init(.init(code: 507), "Out of space: \(reason)")
        case .deadlineExceeded(let reason): self.init(.gatewayTimeout, "Timeout: \(reason)")
        case .internalFailure(let reason): self.init(.internalServerError, "Service internal error: \(reason)")
        }
    }

    init(pointNotFound id: PointID) {
        self.init(.notFound, "Not found: Point with id \(id) does not exists!")
    }

    /// Any error that a handler may throw; `nil` for one that nobody foresaw.
    init?(any error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as DialectError: self.init(error)
        case let error as DatabaseError: self.init(error)
        case let error as HTTPError: self.init(error.status, error.body ?? error.status.reasonPhrase)
        case is CancellationError: self.init(.serviceUnavailable, "Service unavailable: the node shuts down")
        default: return nil
        }
    }
}
