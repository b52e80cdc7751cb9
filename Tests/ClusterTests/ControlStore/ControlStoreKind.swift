import Cluster
import Foundation
import Logging
import Testing

/// The implementations that the conformance tests run on.
enum ControlStoreKind: CaseIterable, CustomTestStringConvertible {
    case lmdb

    var testDescription: String { "\(self)" }
}

/// A new, empty store, and as many clients of it as a test asks for.
final class ControlStoreFixture: Sendable {
    private let kind: ControlStoreKind
    let folder: String

    init(_ kind: ControlStoreKind) throws {
        self.kind = kind
        folder = NSTemporaryDirectory() + "control-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func client() throws -> any ControlStore {
        switch kind {
        case .lmdb: try LMDBControlStore.open(folder: folder, logger: quiet)
        }
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
