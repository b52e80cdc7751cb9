/// What is wrong in a `cluster.yaml`, and where.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file's name as the user gave it.
    package var file: String
    /// Counted from 1; nil when the key is not in the file and its default does not fit.
    package var line: Int?
    /// Such as `cluster.sharding.virtualShards`; empty when the file as a whole is meant.
    package var keyPath: String
    package var reason: String

    package init(file: String, line: Int?, keyPath: String, reason: String) {
        self.file = file
        self.line = line
        self.keyPath = keyPath
        self.reason = reason
    }

    /// `cluster.yaml:7: cluster.replicationFactor: ...`, the form that editors can jump to.
    package var description: String {
        let place = line.map { "\(file):\($0)" } ?? file
        return keyPath.isEmpty ? "\(place): \(reason)" : "\(place): \(keyPath): \(reason)"
    }
}
