/// Why a call to etcd failed.
enum EtcdFailure: Error, Sendable, Equatable {
    /// No connection: surely nothing happened.
    case unreachable(reason: String)
    /// The call may have taken effect: the answer did not come, or etcd itself does not know.
    case unanswered(reason: String)
    case leaseNotFound
    case leaseExists
    case compacted
    case unauthenticated(reason: String)
    /// etcd will not do it, however often it is asked.
    case refused(reason: String)

    /// Whether another member, or the same one later, may do better.
    var isTransient: Bool {
        switch self {
        case .unreachable, .unanswered: true
        case .leaseNotFound, .leaseExists, .compacted, .unauthenticated, .refused: false
        }
    }

    var reason: String {
        switch self {
        case .unreachable(let reason), .unanswered(let reason), .unauthenticated(let reason), .refused(let reason):
            reason
        case .leaseNotFound: "the lease is not known"
        case .leaseExists: "the lease exists"
        case .compacted: "the revision is compacted"
        }
    }

    /// What etcd answered. The codes are gRPC's.
    init(_ failure: Etcd.Failure) {
        let message = failure.message
        self =
            switch failure.code {
            case 5 where message.contains("lease"): .leaseNotFound
            case 9 where message.contains("lease already exists"): .leaseExists
            case 9 where message.contains("authentication is not enabled"):
                .refused(
                    reason: "it asks for no user: take control.etcd.user and password out of cluster.yaml, or enable "
                        + "authentication")
            case 11 where message.contains("compacted"): .compacted
            case 3 where message.contains("user name is empty"):
                .refused(reason: "it asks for a user: set control.etcd.user and passwordFile in cluster.yaml")
            case 3 where message.contains("authentication failed"):
                .refused(reason: "it does not know the user, or the password is wrong: see control.etcd.user")
            case 7: .refused(reason: "the user may not do this (\(message)): grant it the keys of control.etcd.prefix")
            case 8 where message.contains("space"):
                .refused(
                    reason: "it is full (\(message)): compact and defragment it, then `etcdctl alarm disarm`")
            case 16: .unauthenticated(reason: message)
            case 3, 6, 9, 12: .refused(reason: message)
            // Unavailable, deadline exceeded, too many requests, aborted, internal and unknown errors.
            default: .unanswered(reason: message)
            }
    }
}

extension ControlStoreError {
    init(_ failure: EtcdFailure) { self = .unavailable(reason: failure.reason) }
}
