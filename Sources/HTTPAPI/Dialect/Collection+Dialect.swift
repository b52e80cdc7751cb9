import DataModel

/// What a new collection gets where its creator names nothing: the settings of `cluster.yaml`.
package struct CollectionDefaults: Sendable {
    package var virtualShards: Int
    package var physicalShards: Int
    package var replicationFactor: Int
    package var writeConsistencyFactor: Int

    package init(virtualShards: Int, physicalShards: Int, replicationFactor: Int, writeConsistencyFactor: Int) {
        self.virtualShards = virtualShards
        self.physicalShards = physicalShards
        self.replicationFactor = replicationFactor
        self.writeConsistencyFactor = writeConsistencyFactor
    }
}

extension JSONElement {
    /// The body of a collection's creation.
    func collectionConfig(defaults: CollectionDefaults) throws(DialectError) -> CollectionConfig {
        try requireObject()
        try refuse("sparse_vectors", "init_from", "metadata")
        try refuseCustomSharding()
        try refuseStrictMode()
        let hnsw = HNSWSettings(try field("hnsw_config"), path: "hnsw_config")
        let hnswDiff = try hnsw.read()
        let quantization = try quantizationSettings()
        let defaultsOfSpaces = SpaceDefaults(hnsw: hnswDiff, quantization: quantization)
        let vectors = try requiredField("vectors")
        let spaces = try within("vectors") { () throws(DialectError) in
            try vectors.vectorSpaces(collection: defaultsOfSpaces)
        }

        let physicalShards = try integer("shard_number", in: Limits.physicalShards)
        let virtualShards = try integer("virtual_shards", in: Limits.virtualShards)
        let replicationFactor = try integer("replication_factor", in: Limits.replicationFactor)
        let factor = try integer("write_consistency_factor", in: Limits.replicationFactor)
        var config = CollectionConfig(
            spaces: spaces,
            virtualShards: virtualShards ?? defaults.virtualShards,
            physicalShards: physicalShards ?? defaults.physicalShards,
            replicationFactor: replicationFactor ?? defaults.replicationFactor,
            writeConsistencyFactor: factor ?? defaults.writeConsistencyFactor,
            hnsw: hnswDiff.applied(to: HNSWConfig(), dimension: spaces.first?.dimension ?? 1),
            quantization: quantization, onDiskPayload: try bool("on_disk_payload") ?? true)
        // What was not asked for gives way to what was.
        if physicalShards == nil { config.physicalShards = min(config.physicalShards, config.virtualShards) }
        if factor == nil {
            config.writeConsistencyFactor = min(config.writeConsistencyFactor, config.replicationFactor)
        }
        guard config.virtualShards >= config.physicalShards else {
            throw DialectError(
                "shard_number", "\(config.physicalShards) is more than the \(config.virtualShards) virtual shards")
        }
        guard config.writeConsistencyFactor <= config.replicationFactor else {
            throw DialectError(
                "write_consistency_factor",
                "\(config.writeConsistencyFactor) is more than the replication factor, \(config.replicationFactor)")
        }
        return config
    }

    private func refuseCustomSharding() throws(DialectError) {
        if let method = try string("sharding_method"), method != "auto" {
            throw DialectError("sharding_method", "\(quoted(method)) is not supported")
        }
    }

    private func refuseStrictMode() throws(DialectError) {
        guard let strict = try field("strict_mode_config") else { return }
        if try strict.bool("enabled") == true { throw DialectError("strict_mode_config.enabled", "not supported") }
    }

    private func vectorSpaces(collection: SpaceDefaults) throws(DialectError) -> [VectorSpace] {
        guard isObject else { throw DialectError("", "an object is expected, not \(typeName)") }
        if let size = try field("size"), !size.isObject { return [try vectorSpace(named: "", collection: collection)] }
        guard Limits.vectorSpaces.contains(count) else {
            let range = Limits.vectorSpaces
            throw DialectError("", "\(count) vectors are outside of \(range.lowerBound)...\(range.upperBound)")
        }
        var spaces: [VectorSpace] = []
        for (name, value) in fields {
            guard Limits.nameBytes.contains(name.utf8.count) else {
                let range = Limits.nameBytes
                throw DialectError("", "a name has \(range.lowerBound)...\(range.upperBound) bytes of UTF-8")
            }
            guard !spaces.contains(where: { $0.name == name }) else {
                throw DialectError(name, "the vector is given more than once")
            }
            do {
                spaces.append(try value.vectorSpace(named: name, collection: collection))
            } catch {
                throw error.within(name)
            }
        }
        return spaces
    }

    private func vectorSpace(
        named name: String, collection: SpaceDefaults
    ) throws(DialectError) -> VectorSpace {
        guard isObject else { throw DialectError("", "an object with `size` and `distance` is expected") }
        try refuse("multivector_config")
        let datatypeName = try string("datatype") ?? VectorDatatype.float32.rawValue
        guard let datatype = VectorDatatype(rawValue: datatypeName) else {
            throw DialectError(
                "datatype", "\(quoted(datatypeName)) is not supported; float32, float16 and uint8 are")
        }
        guard let size = try integer("size", in: Limits.dimension) else {
            throw DialectError("size", "the field is missing")
        }
        guard let distanceName = try string("distance") else {
            throw DialectError("distance", "the field is missing")
        }
        guard let distance = Distance(rawValue: distanceName) else {
            let known = Distance.allCases.map(\.rawValue).joined(separator: ", ")
            throw DialectError("distance", "\(quoted(distanceName)) is none of \(known)")
        }
        let own = try HNSWSettings(field("hnsw_config"), path: "hnsw_config").read()
        let ownQuantization = try quantizationSettings()
        return VectorSpace(
            name: name, dimension: size, distance: distance,
            hnsw: own.applied(to: collection.hnsw.applied(to: HNSWConfig(), dimension: size), dimension: size),
            hasOwnHNSWConfig: own != HNSWSettings.Values(), datatype: datatype,
            quantization: (ownQuantization ?? collection.quantization)?.kind, ownQuantization: ownQuantization,
            onDisk: try bool("on_disk"))
    }
}

/// What a collection says for those of its vector spaces that say nothing themselves.
private struct SpaceDefaults {
    var hnsw: HNSWSettings.Values
    var quantization: QuantizationSettings?
}

/// The dialect's `hnsw_config`: settings that are named, over others.
struct HNSWSettings {
    struct Values: Equatable {
        var m: Int?
        var efConstruct: Int?
        var fullScanKiB: Int?

        func applied(to base: HNSWConfig, dimension: Int) -> HNSWConfig {
            HNSWConfig(
                m: m ?? base.m, efConstruct: efConstruct ?? base.efConstruct,
                exactScanRows: fullScanKiB.map { Self.rows(kibibytes: $0, dimension: dimension) } ?? base.exactScanRows)
        }

        /// The dialect counts `full_scan_threshold` in KiB of raw vectors; a shard counts rows.
        static func rows(kibibytes: Int, dimension: Int) -> Int { (kibibytes * 1_024) / (dimension * 4) }
        static func kibibytes(rows: Int, dimension: Int) -> Int { (rows * dimension * 4 + 1_023) / 1_024 }
    }

    /// In KiB: 1 TiB, so that no product overflows.
    static let fullScanThreshold = 0...(1 << 30)

    private let element: JSONElement?
    private let path: String

    init(_ element: JSONElement?, path: String) {
        self.element = element
        self.path = path
    }

    func read() throws(DialectError) -> Values {
        guard let element else { return Values() }
        do {
            try element.requireObject()
            // Of no consequence here: threads, files and memory are the node's own settings.
            _ = try element.integer("max_indexing_threads", in: 0...Int(UInt32.max))
            _ = try element.bool("on_disk")
            _ = try element.integer("payload_m", in: 0...Int(UInt32.max))
            return Values(
                m: try element.integer("m", in: Limits.hnswM),
                efConstruct: try element.integer("ef_construct", in: Limits.efConstruct),
                fullScanKiB: try element.integer("full_scan_threshold", in: Self.fullScanThreshold))
        } catch {
            throw error.within(path)
        }
    }
}

extension JSONElement {
    /// The body of a collection's update: tuning that has no counterpart here is taken, all else refused.
    func checkCollectionUpdate() throws(DialectError) {
        try requireObject()
        try refuse("vectors", "hnsw_config", "quantization_config", "sparse_vectors", "params", "metadata")
        try refuseStrictMode()
    }
}

/// A collection's name as the dialect allows it: also safe in a path, a file name and a log line.
enum CollectionName {
    static func checked(_ name: String) throws(DialectError) -> String {
        guard Limits.nameBytes.contains(name.utf8.count) else {
            let range = Limits.nameBytes
            throw DialectError("collection name", "it has \(range.lowerBound)...\(range.upperBound) bytes of UTF-8")
        }
        let forbidden = name.unicodeScalars.first {
            $0.value < 0x20 || $0.value == 0x7F || #"/\<>:"|?*"#.unicodeScalars.contains($0)
        }
        if let forbidden {
            let shown =
                forbidden.value < 0x21 || forbidden.value == 0x7F
                ? "control character \(forbidden.value)" : "`\(forbidden)`"
            throw DialectError("collection name", "it must not contain \(shown)")
        }
        guard name != ".", name != ".." else {
            throw DialectError("collection name", "it must not be \(quoted(name))")
        }
        return name
    }
}
