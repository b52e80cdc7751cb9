/// A JSON object as UTF-8 bytes, checked and minified when it came in, copied into responses as it is.
package struct Payload: Sendable, Equatable {
    package var json: [UInt8]

    /// - Precondition: `json` is one valid, minified JSON object.
    package init(json: [UInt8]) { self.json = json }

    package static let empty = Payload(json: [UInt8(ascii: "{"), UInt8(ascii: "}")])
}

/// A point as a client writes it.
package struct Point: Sendable, Equatable {
    package var id: PointID
    package var vectors: NamedVectors
    package var payload: Payload

    package init(id: PointID, vectors: NamedVectors, payload: Payload) {
        self.id = id
        self.vectors = vectors
        self.payload = payload
    }
}

/// A point as a shard returns it, with what was asked for.
package struct Record: Sendable, Equatable {
    package var id: PointID
    /// The sequence of the write that last touched the point in its physical shard.
    package var version: SequenceNumber
    /// Nil when the request did not ask for it.
    package var payload: Payload?
    /// Nil when the request did not ask for them.
    package var vectors: NamedVectors?

    package init(id: PointID, version: SequenceNumber, payload: Payload?, vectors: NamedVectors?) {
        self.id = id
        self.version = version
        self.payload = payload
        self.vectors = vectors
    }
}

/// A point found by a search. `score` is what the API shows: a similarity for cosine and dot, a distance otherwise.
package struct ScoredPoint: Sendable, Equatable {
    package var record: Record
    package var score: Float

    package init(record: Record, score: Float) {
        self.record = record
        self.score = score
    }
}
