/// Which member of etcd is asked next. Pure.
struct EtcdEndpoints: Sendable {
    let urls: [String]
    /// The one that answered last, as far as we know.
    private(set) var preferred = 0

    static let minimumPause = Duration.milliseconds(50)
    static let maximumPause = Duration.milliseconds(500)

    init(_ urls: [String]) {
        precondition(!urls.isEmpty, "etcd has at least one endpoint")
        self.urls = urls
    }

    var current: String { urls[preferred] }

    /// Goes on to the next member, unless somebody else has done so already.
    mutating func failed(_ url: String) {
        if url == current { preferred = (preferred + 1) % urls.count }
    }

    /// How long to wait after so many failures in a row: not before each member was asked once, then ever longer.
    func pause(afterFailures count: Int) -> Duration? {
        guard count > 0, count.isMultiple(of: urls.count) else { return nil }
        let round = min(count / urls.count - 1, 4)
        return min(Self.minimumPause * (1 << round), Self.maximumPause)
    }
}
