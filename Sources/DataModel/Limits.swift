/// Every bound on what a request may ask for, with its reason.
package enum Limits {
    /// A row of this many float32 is 256 KiB; no embedding model in use comes near it. Qdrant has the same limit.
    package static let dimension = 1...65_536
    /// Virtual shards are `UInt16`; more than this only makes the map larger than it needs to be.
    package static let virtualShards = 1...4_096
    package static let physicalShards = 1...1_024
    package static let replicationFactor = 1...16
    package static let vectorSpaces = 1...64
    /// Slots are `UInt32`; the block tables of a shard reserve address space for this many rows.
    package static let rowsPerShard = 1 << 28
    /// Links of a row fit a fixed-size record; recall gains nothing above about 64.
    package static let hnswM = 4...128
    package static let efConstruct = 4...4_096
    package static let efSearch = 1...16_384
    /// Results of one query, `offset + limit`: each shard returns that many, with payloads, to the coordinator.
    package static let resultWindow = 0...100_000
    /// Bytes of a point's payload; one LMDB value that a query copies whole.
    package static let payloadBytes = 1 << 20
    /// Queries of one batch request.
    package static let batchQueries = 1_000
    /// Points or ids of one write request; the body limit comes first for most.
    package static let batchPoints = 100_000
    /// Levels of filters within filters; a body may have 128 levels of JSON, and each filter takes two or three.
    package static let filterDepth = 32
    /// Conditions of one filter, those of its inner filters included: each may be checked on each row.
    package static let filterConditions = 4_096
    /// Values of one match, and ids of one `has_id`.
    package static let filterValues = 100_000
    /// Payload indexes of a collection: each write looks into the payload for each of them.
    package static let payloadIndexes = 64
    /// Characters of a token in a text index.
    package static let tokenLength = 0...1_024
    /// A request body. Qdrant's default is 32 MiB too.
    package static let bodyBytes = 32 << 20
    /// UTF-8 bytes of a collection's or vector space's name: a file name on every system, and a key of the control store.
    package static let nameBytes = 1...255
    /// UTF-8 bytes of what a client calls a request: a UUID has 36, and some put a prefix before it.
    package static let requestIDBytes = 1...64
    /// Writes of a shard whose names it remembers: at 200 a second, those of eleven minutes. They take 8 MiB on disk,
    /// and up to 16 MiB of a primary's memory. Counted by sequences, so that all replicas forget the same ones.
    package static let rememberedWrites = 1 << 17
}
