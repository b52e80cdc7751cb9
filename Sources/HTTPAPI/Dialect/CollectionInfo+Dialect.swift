import Coordinator
import DataModel

/// A collection as the dialect describes it.
extension JSONWriter {
    mutating func collectionInfo(_ info: CollectionInfo) {
        raw("{\"status\":")
        string(info.health.rawValue)
        raw(",\"optimizer_status\":\"ok\",\"indexed_vectors_count\":")
        integer(info.indexedVectors)
        raw(",\"points_count\":")
        integer(info.points)
        raw(",\"segments_count\":")
        integer(info.config.physicalShards)
        raw(",\"config\":{\"params\":")
        parameters(info.config)
        raw(",\"hnsw_config\":")
        hnsw(info.config.hnsw, dimension: info.config.spaces.first?.dimension ?? 1)
        // The dialect requires these objects; nothing here is tuned by them.
        raw(
            """
            ,"optimizer_config":{"deleted_threshold":0.2,"vacuum_min_vector_number":1000,"default_segment_number":0,\
            "max_segment_size":null,"memmap_threshold":null,"indexing_threshold":null,"flush_interval_sec":5,\
            "max_optimization_threads":null},"wal_config":{"wal_capacity_mb":32,"wal_segments_ahead":0},\
            "quantization_config":
            """)
        if let quantization = info.config.quantization { self.quantization(quantization) } else { raw("null") }
        raw("},\"payload_schema\":")
        payloadSchema(info.payloadIndexes)
        raw(",\"collection_id\":")
        string(info.id.rawValue)
        raw("}")
    }

    private mutating func parameters(_ config: CollectionConfig) {
        raw("{\"vectors\":")
        if let space = config.spaces.first, space.name.isEmpty {
            vectorSpace(space)
        } else {
            raw("{")
            for (index, space) in config.spaces.enumerated() {
                if index > 0 { raw(",") }
                string(space.name)
                raw(":")
                vectorSpace(space)
            }
            raw("}")
        }
        raw(",\"shard_number\":")
        integer(config.physicalShards)
        raw(",\"virtual_shards\":")
        integer(config.virtualShards)
        raw(",\"replication_factor\":")
        integer(config.replicationFactor)
        raw(",\"write_consistency_factor\":")
        integer(config.writeConsistencyFactor)
        raw(",\"on_disk_payload\":")
        bool(config.onDiskPayload)
        raw("}")
    }

    private mutating func vectorSpace(_ space: VectorSpace) {
        raw("{\"size\":")
        integer(space.dimension)
        raw(",\"distance\":")
        string(space.distance.rawValue)
        if space.hasOwnHNSWConfig {
            raw(",\"hnsw_config\":")
            hnsw(space.hnsw, dimension: space.dimension)
        }
        if let quantization = space.ownQuantization {
            raw(",\"quantization_config\":")
            self.quantization(quantization)
        }
        if let onDisk = space.onDisk {
            raw(",\"on_disk\":")
            bool(onDisk)
        }
        if space.datatype != .float32 {
            raw(",\"datatype\":")
            string(space.datatype.rawValue)
        }
        raw("}")
    }

    private mutating func hnsw(_ config: HNSWConfig, dimension: Int) {
        raw("{\"m\":")
        integer(config.m)
        raw(",\"ef_construct\":")
        integer(config.efConstruct)
        raw(",\"full_scan_threshold\":")
        integer(HNSWSettings.Values.kibibytes(rows: config.exactScanRows, dimension: dimension))
        raw(",\"max_indexing_threads\":0,\"on_disk\":false}")
    }
}
