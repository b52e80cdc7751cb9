/// How two vectors of a space are compared.
package enum Distance: String, Sendable, Codable, CaseIterable {
    case cosine = "Cosine"
    case dot = "Dot"
    case euclid = "Euclid"
    case manhattan = "Manhattan"

    /// True when a larger score is nearer (cosine, dot); for the others the score is a distance.
    package var largerIsNearer: Bool { self == .cosine || self == .dot }

    /// Whether score `a` is nearer than score `b`.
    package func isNearer(_ a: Float, than b: Float) -> Bool { largerIsNearer ? a > b : a < b }
}

/// The HNSW graph's parameters (Malkov & Yashunin, 2018, section 4).
package struct HNSWConfig: Sendable, Codable, Equatable {
    /// Links of a row in the upper layers; twice as many in layer 0.
    package var m: Int
    /// Size of the candidate list while inserting.
    package var efConstruct: Int
    /// Searches scan a shard exactly when it has fewer rows than this: a scan is then as quick as the graph, and exact.
    package var exactScanRows: Int

    package init(m: Int = 16, efConstruct: Int = 128, exactScanRows: Int = 1_000) {
        self.m = m
        self.efConstruct = efConstruct
        self.exactScanRows = exactScanRows
    }
}

/// One vector space of a collection.
package struct VectorSpace: Sendable, Codable, Equatable {
    /// "" for the unnamed space.
    package var name: String
    package var dimension: Int
    package var distance: Distance
    package var hnsw: HNSWConfig
    /// Whether the space was created with its own `hnsw_config`, or takes the collection's.
    package var hasOwnHNSWConfig: Bool
    package var datatype: VectorDatatype
    /// What was asked for; nil leaves the choice to the shard.
    package var quantization: Quantization?
    /// What the space was created with itself, where it does not take the collection's.
    package var ownQuantization: QuantizationSettings?
    /// The dialect's `on_disk`, echoed; raw vectors are always mapped from disk.
    package var onDisk: Bool?

    package init(
        name: String, dimension: Int, distance: Distance, hnsw: HNSWConfig = HNSWConfig(),
        hasOwnHNSWConfig: Bool = false, datatype: VectorDatatype = .float32, quantization: Quantization? = nil,
        ownQuantization: QuantizationSettings? = nil, onDisk: Bool? = nil
    ) {
        self.name = name
        self.dimension = dimension
        self.distance = distance
        self.hnsw = hnsw
        self.hasOwnHNSWConfig = hasOwnHNSWConfig
        self.datatype = datatype
        self.quantization = quantization
        self.ownQuantization = ownQuantization
        self.onDisk = onDisk
    }
}

extension VectorSpace {
    /// Below this dimension a raw vector takes a cache line or two, and codes save nothing.
    private static let smallestCodedDimension = 64

    /// The codes that are used: what was asked for, or else 8-bit ones wherever they help.
    package var effectiveQuantization: Quantization {
        if distance == .manhattan { return .none }
        if let quantization { return quantization }
        return datatype == .uint8 || dimension < Self.smallestCodedDimension ? .none : .scalar
    }
}

/// The schema of a collection: what was asked for at its creation, with the defaults filled in.
package struct CollectionConfig: Sendable, Codable, Equatable {
    /// In order of names, which is also the number of a space inside a shard; each name once; never empty.
    package var spaces: [VectorSpace]
    package var virtualShards: Int
    package var physicalShards: Int
    package var replicationFactor: Int
    /// The smallest in-sync set that still takes writes (`minInSync`; `write_consistency_factor` in the dialect).
    package var writeConsistencyFactor: Int
    /// The collection's own HNSW settings, for spaces that name none.
    package var hnsw: HNSWConfig
    /// The collection's own setting, for spaces that name none.
    package var quantization: QuantizationSettings?
    /// The dialect's `on_disk_payload`, echoed; payloads are always mapped from disk.
    package var onDiskPayload: Bool
    /// In order of paths; created and dropped while the collection is in use.
    package var payloadIndexes: [PayloadIndexConfig]

    package init(
        spaces: [VectorSpace], virtualShards: Int = 128, physicalShards: Int = 1, replicationFactor: Int = 1,
        writeConsistencyFactor: Int = 1, hnsw: HNSWConfig = HNSWConfig(),
        quantization: QuantizationSettings? = nil, onDiskPayload: Bool = true, payloadIndexes: [PayloadIndexConfig] = []
    ) {
        self.spaces = spaces.sorted { $0.name < $1.name }
        self.virtualShards = virtualShards
        self.physicalShards = physicalShards
        self.replicationFactor = replicationFactor
        self.writeConsistencyFactor = writeConsistencyFactor
        self.hnsw = hnsw
        self.quantization = quantization
        self.onDiskPayload = onDiskPayload
        self.payloadIndexes = payloadIndexes
    }

    package func space(named name: String) -> VectorSpace? { spaces.first { $0.name == name } }
}
