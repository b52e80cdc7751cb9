#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// How many files the process may have open.
enum OpenFileLimit {
    /// Raises the limit to what the system allows: each replica holds six files, and shells start programs with a limit of
    /// 1,024 for the sake of old ones.
    static func raise() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        // Without it the node works all the same, for fewer replicas.
        _ = setrlimit(resource, &limit)
    }
}
