/// Where etcd is, and which part of it is ours.
package struct EtcdOptions: Sendable, Equatable {
    package struct TLS: Sendable, Equatable {
        /// PEM files. Without `caFile` the system's authorities are trusted.
        package var caFile: String?
        /// The client's certificate and its key: both or none.
        package var certificateFile: String?
        package var keyFile: String?

        package init(caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
            self.caFile = caFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    package struct Credentials: Sendable, Equatable {
        package var user: String
        package var password: String

        package init(user: String, password: String) {
            self.user = user
            self.password = password
        }
    }

    /// Such as `http://10.0.0.1:2379`; any of them answers for all. Not empty.
    package var endpoints: [String]
    /// Everything of this cluster is below it. Ends with `/`.
    package var prefix: String
    package var tls = TLS()
    package var credentials: Credentials?
    /// A member that has not answered by then is left for the next one. A commit of a healthy etcd takes milliseconds.
    package var attemptTimeout = Duration.seconds(2)
    /// A call is repeated until then: longer than etcd takes to elect another leader.
    package var patience = Duration.seconds(8)

    package init(endpoints: [String], prefix: String) {
        self.endpoints = endpoints
        self.prefix = prefix
    }
}

/// What etcd sets limits to, and what we rely on.
enum EtcdLimits {
    /// etcd refuses requests above 1.5 MiB (`--max-request-bytes`), counted in its own, shorter encoding.
    static let requestBytes = 1_500_000
    /// A large cluster's records come in few pages, and a page is far below what gRPC sends at once.
    static let pageKeys = 1_000
    /// An answer holds a page of records.
    static let answerBytes = 256 << 20
    /// Time to live of the lease that holds transactions' tokens, and how long tokens are attached to it: a token
    /// outlives its transaction's patience by far.
    static let tokenLease = Duration.seconds(60)
    static let tokenLeaseUse = Duration.seconds(30)
    /// A silent watch is normal, so the member behind it is asked for a sign of life this often.
    static let watchProbeInterval = Duration.seconds(2)
}
