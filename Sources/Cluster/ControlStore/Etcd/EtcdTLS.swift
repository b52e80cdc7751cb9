import NIOSSL

enum EtcdTLS {
    /// - Throws: `unavailable` when a file cannot be read; names the file.
    static func configuration(_ tls: EtcdOptions.TLS) throws(ControlStoreError) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let file = tls.caFile {
            _ = try reading(file, "certificates") { try NIOSSLCertificate.fromPEMFile(file) }
            configuration.trustRoots = .file(file)
        }
        if let file = tls.certificateFile, let keyFile = tls.keyFile {
            let chain = try reading(file, "certificates") { try NIOSSLCertificate.fromPEMFile(file) }
            let key = try reading(keyFile, "private key") { try NIOSSLPrivateKey(file: keyFile, format: .pem) }
            configuration.certificateChain = chain.map { .certificate($0) }
            configuration.privateKey = .privateKey(key)
        }
        return configuration
    }

    private static func reading<Value>(
        _ file: String, _ what: String, _ body: () throws -> Value
    ) throws(ControlStoreError) -> Value {
        do {
            return try body()
        } catch {
            throw .unavailable(reason: "\(file), which control.etcd.tls names, holds no \(what) in PEM form (\(error))")
        }
    }
}
