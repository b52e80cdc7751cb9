import Cluster
package import DataModel
import Foundation

extension Coordinator {
    package func plan(
        _ request: OperationRequest, deadline: Deadline
    ) async throws(DatabaseError) -> OperationPlan {
        let state = try await freshState()
        return try await prepare(request, in: state, deadline: deadline).report(in: state)
    }

    package func begin(
        _ request: OperationRequest, maxBytesPerSecond: UInt64?, deadline: Deadline
    ) async throws(DatabaseError) -> OperationStatus {
        try await begin(request, maxBytesPerSecond: maxBytesPerSecond, reason: "asked for", deadline: deadline)
    }

    package func begin(
        _ request: OperationRequest, maxBytesPerSecond: UInt64?, reason: String, deadline: Deadline
    ) async throws(DatabaseError) -> OperationStatus {
        let prepared = try await prepare(request, in: try await freshState(), deadline: deadline)
        let operation = OperationRecord(
            id: String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16), kind: prepared.kind, reason: reason,
            bytesTotal: prepared.steps.reduce(0) { $0 + $1.bytes }, createdAt: Date().timeIntervalSince1970,
            maxBytesPerSecond: maxBytesPerSecond,
            plan: prepared.hasSteps && !prepared.steps.isEmpty ? prepared.steps : nil)
        let key = ControlKey.operation(operation.id)
        let outcome = try await transact(
            guards: [ControlGuard(key: key, expected: nil)], mutations: [.put(key: key, value: operation.encoded)])
        guard case .committed = outcome else {
            throw .unavailable(reason: "the operation's id was taken; try again")
        }
        return OperationStatus(operation, in: try await freshState())
    }

    package func undrain(_ node: NodeID) async throws(DatabaseError) {
        while true {
            let state = try await freshState()
            let open = state.openOperations.first {
                $0.value.kind == .drain(node: node) || $0.value.kind == .remove(node: node)
            }
            if let open {
                if case .remove = open.value.kind {
                    throw .invalid(reason: "node: operation \(open.value.id) removes node \(node): cancel it")
                }
                _ = try await cancelOperation(open.value.id)
                return
            }
            guard let draining = state.draining[node] else {
                throw .invalid(reason: "node: node \(node) is not drained")
            }
            let key = ControlKey.draining(node)
            let outcome = try await transact(
                guards: [ControlGuard(key: key, expected: draining.revision)], mutations: [.delete(key: key)])
            if case .committed = outcome {
                _ = try await freshState()
                return
            }
        }
    }

    package func operations() async throws(DatabaseError) -> [OperationStatus] {
        OperationStatus.recent(in: try await freshState())
    }

    package func cancelOperation(_ id: String) async throws(DatabaseError) -> OperationStatus {
        while true {
            let state = try await freshState()
            guard let stored = state.operations[id] else { throw .operationNotFound(id) }
            if stored.value.state.isFinal {
                throw .invalid(reason: "operation \(id) is \(stored.value.state.rawValue) already")
            }
            guard stored.value.state != .cancelling else { return OperationStatus(stored.value, in: state) }
            var record = stored.value
            record.state = .cancelling
            record.detail = "being cancelled"
            let key = ControlKey.operation(id)
            let outcome = try await transact(
                guards: [ControlGuard(key: key, expected: stored.revision)],
                mutations: [.put(key: key, value: record.encoded)])
            if case .committed = outcome { return OperationStatus(record, in: try await freshState()) }
        }
    }
}
