internal import CLMDB

extension Transaction where Self: ~Copyable {
    /// Of a write transaction: the number that it will have when it commits. Of a read transaction: the number of the
    /// write whose state it sees. Numbers grow by one with each commit that changed something.
    package var id: UInt64 { UInt64(mdb_txn_id(handle)) }
}
