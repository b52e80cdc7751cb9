import Cluster

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension ClusterConfiguration {
    /// A lease has to outlive the loss of etcd's leader, until when nothing renews it: elections take up to two
    /// seconds.
    private static let etcdLeaseDuration = Duration.seconds(5)

    /// `control`: where the cluster's records are. Without it in files, which the nodes of one machine share.
    mutating func readControl(_ root: inout YAMLSection) throws(ConfigurationError) {
        var control = try root.section("control")
        defer { source.lines.merge(control.lines) { $1 } }
        if control.contains("etcd") {
            var section = try control.section("etcd")
            let options = try etcd(&section)
            try section.refuseUnknownKeys()
            guard !options.endpoints.isEmpty else {
                throw control.error("etcd", "its endpoints are missing; name them, such as [http://10.0.0.1:2379]")
            }
            self.control = .etcd(options)
            leaseDuration = Self.etcdLeaseDuration
            source.lines.merge(section.lines) { $1 }
        } else {
            _ = try control.section("etcd")
        }
        try control.refuseUnknownKeys()
    }

    private func etcd(_ section: inout YAMLSection) throws(ConfigurationError) -> EtcdOptions {
        let endpoints = try section.texts("endpoints") ?? []
        var options = EtcdOptions(
            endpoints: endpoints.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }, prefix: "/shoal/\(name)/")
        for endpoint in options.endpoints {
            guard let url = URL(string: endpoint), ["http", "https"].contains(url.scheme), url.host()?.isEmpty == false,
                url.path().isEmpty
            else { throw section.error("endpoints", "`\(endpoint)` is not like http://10.0.0.1:2379") }
        }
        guard Set(options.endpoints).count == options.endpoints.count else {
            throw section.error("endpoints", "an endpoint is named twice")
        }
        if let prefix = try section.text("prefix") {
            guard prefix.hasPrefix("/"), prefix.count > 1 else {
                throw section.error("prefix", "`\(prefix)` is not like /shoal/words/")
            }
            options.prefix = prefix.hasSuffix("/") ? prefix : prefix + "/"
        }
        options.tls = try tls(&section, isUsed: options.endpoints.contains { $0.hasPrefix("https:") })
        options.credentials = try credentials(&section)
        return options
    }

    private func tls(
        _ section: inout YAMLSection, isUsed: Bool
    ) throws(ConfigurationError) -> EtcdOptions.TLS {
        let isSet = section.contains("tls")
        var tls = try section.section("tls")
        if isSet && !isUsed { throw section.error("tls", "no endpoint begins with https://") }
        let files = EtcdOptions.TLS(
            caFile: path(try tls.text("caFile")), certificateFile: path(try tls.text("certificateFile")),
            keyFile: path(try tls.text("keyFile")))
        if (files.certificateFile == nil) != (files.keyFile == nil) {
            throw section.error("tls", "certificateFile and keyFile go together")
        }
        try tls.refuseUnknownKeys()
        return files
    }

    private func credentials(_ section: inout YAMLSection) throws(ConfigurationError) -> EtcdOptions.Credentials? {
        let (user, file) = (try section.text("user"), path(try section.text("passwordFile")))
        guard let user, let file else {
            if user == nil && file == nil { return nil }
            throw section.error(user == nil ? "passwordFile" : "user", "user and passwordFile go together")
        }
        guard let password = try? String(contentsOf: URL(filePath: file), encoding: .utf8) else {
            throw section.error("passwordFile", "\(file) cannot be read")
        }
        return EtcdOptions.Credentials(user: user, password: String(password.prefix { !$0.isNewline }))
    }

    /// Files are named relative to the one that names them.
    private func path(_ file: String?) -> String? {
        file.map { URL(filePath: $0, relativeTo: URL(filePath: source.file)).path(percentEncoded: false) }
    }
}
