import Glibc

/// Whether a port can be listened on, asked before anything is started.
package enum PortCheck {
    package enum Failure: Sendable, Equatable {
        case inUse
        case other(String)

        package var reason: String {
            switch self {
            case .inUse: "is in use by another program"
            case .other(let text): "cannot be listened on: \(text)"
            }
        }
    }

    /// Nil when the port is free.
    package static func failure(host: String, port: Int) -> Failure? {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0, let address = found?.pointee else {
            return .other("\(host) is not an address of this machine (\(String(cString: gai_strerror(code))))")
        }
        defer { freeaddrinfo(found) }

        let descriptor = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return .other(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        // As servers do: connections of an earlier run that linger in TIME_WAIT do not make the port taken.
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        if bind(descriptor, address.ai_addr, address.ai_addrlen) == 0, listen(descriptor, 1) == 0 { return nil }
        return errno == EADDRINUSE ? .inUse : .other(String(cString: strerror(errno)))
    }
}

extension ClusterConfiguration {
    /// - Throws: for the first port of the node that cannot be listened on, named by its key.
    package func checkPorts(of node: Endpoints) throws(ConfigurationError) {
        let ports = [
            ("cluster.httpPort", "http.host", "HTTP", node.httpHost, node.httpPort),
            ("cluster.rpcPort", "rpc.host", "RPC", node.rpcHost, node.rpcPort),
        ]
        for (portKey, hostKey, name, host, port) in ports {
            guard let failure = PortCheck.failure(host: host, port: port) else { continue }
            let key = failure == .inUse ? portKey : hostKey
            throw error(key, "\(host):\(port), the \(name) port of node \(node.id), \(failure.reason)")
        }
    }
}
