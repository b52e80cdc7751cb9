import Glibc

/// A replica holds six descriptors, three for each LMDB environment: the usual limit of 1,024 is too few for a node with
/// hundreds of small collections.
enum FileDescriptors {
    /// Raises this process' limit as far as the system allows without privileges. What is not allowed is left as it is.
    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
