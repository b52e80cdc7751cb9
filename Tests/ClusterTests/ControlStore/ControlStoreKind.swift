import Cluster
import Foundation
import Logging
import Testing

/// The implementations that the conformance tests run on.
enum ControlStoreKind: CaseIterable, CustomTestStringConvertible {
    case lmdb
    case etcd

    /// Without etcd on this machine only LMDB, except where everything must be tested.
    static var allCases: [ControlStoreKind] { EtcdMembers.areTested ? [.lmdb, .etcd] : [.lmdb] }

    var testDescription: String { "\(self)" }
}

/// A new, empty store, and as many clients of it as a test asks for.
final class ControlStoreFixture: Sendable {
    private let kind: ControlStoreKind
    let folder: String
    private let name = UUID().uuidString

    init(_ kind: ControlStoreKind) throws {
        self.kind = kind
        folder = NSTemporaryDirectory() + "control-" + name
        if kind == .lmdb { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func client() throws -> any ControlStore {
        switch kind {
        case .lmdb: try LMDBControlStore.open(folder: folder, logger: quiet)
        // One server for all tests, each below a prefix of its own.
        case .etcd: try EtcdMembers.shared.get().client(prefix: "/\(name)/")
        }
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
