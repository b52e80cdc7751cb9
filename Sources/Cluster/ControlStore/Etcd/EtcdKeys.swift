import DataModel
import Foundation

/// Where our keys are in etcd.
///
/// ```
/// <prefix>records/<key>      the records
/// <prefix>tokens/<random>    what transactions leave behind for a minute, to be recognised by
/// ```
struct EtcdKeys: Sendable {
    private let records: [UInt8]
    private let tokens: [UInt8]

    init(prefix: String) {
        records = Array("\(prefix)records/".utf8)
        tokens = Array("\(prefix)tokens/".utf8)
    }

    func record(_ key: String) -> Data { Data(records + Array(key.utf8)) }

    func token(_ number: UInt64) -> Data { Data(tokens + Array(String(number, radix: 36).utf8)) }

    /// The range of all records whose keys begin with `prefix`: from the first key to just before the end.
    func range(_ prefix: String) -> (key: Data, end: Data) {
        let first = record(prefix)
        var end = Array(first)
        // The next byte string that does not begin so: the last byte plus one, which never overflows, as UTF-8 has no
        // 0xff.
        end[end.count - 1] += 1
        return (first, Data(end))
    }

    /// Nil for a key that is not a record's.
    func entry(_ row: Etcd.KeyValue) -> ControlEntry? {
        guard let key = key(row.key), let revision = row.modRevision?.value else { return nil }
        let lease = row.lease?.value ?? 0
        return ControlEntry(
            key: key, value: [UInt8](row.value ?? Data()), modRevision: Revision(revision),
            lease: lease == 0 ? nil : LeaseID(lease))
    }

    func event(_ event: Etcd.WatchResponse.Event) -> ControlEvent? {
        guard event.type == "DELETE" else { return entry(event.kv).map { .put($0) } }
        guard let key = key(event.kv.key), let revision = event.kv.modRevision?.value else { return nil }
        return .delete(key: key, revision: Revision(revision))
    }

    private func key(_ bytes: Data) -> String? {
        guard bytes.starts(with: records) else { return nil }
        return String(decoding: bytes.dropFirst(records.count), as: UTF8.self)
    }
}
