import Coordinator
import DataModel
import Synchronization
import Testing

@Suite struct CollectionRouteTests {
    @Test func aCollectionIsCreatedWithTheClustersDefaults() async throws {
        try await TestServer.run { server in
            let created = try await server.send(
                "PUT", "/collections/c",
                #"{"vectors":{"size":4,"distance":"Cosine"},"shard_number":null,"wal_config":{"wal_capacity_mb":1}}"#)
            #expect(created.resultText == "true")
            let config = server.database.state.withLock { $0.collections["c"]?.config }
            #expect(
                config
                    == CollectionConfig(
                        spaces: [VectorSpace(name: "", dimension: 4, distance: .cosine)], virtualShards: 128,
                        physicalShards: 3, replicationFactor: 2, writeConsistencyFactor: 1))
        }
    }

    @Test func everySettingIsTakenAndEchoed() async throws {
        try await TestServer.run { server in
            let body = #"""
                {"vectors":{"a":{"size":100,"distance":"Euclid","hnsw_config":{"ef_construct":50},"on_disk":true},
                "b":{"size":3,"distance":"Manhattan"}},"hnsw_config":{"m":24,"full_scan_threshold":10000},
                "shard_number":5,"virtual_shards":32,"replication_factor":3,"write_consistency_factor":2,
                "on_disk_payload":false,"optimizers_config":{"indexing_threshold":0}}
                """#
            #expect(try await server.send("PUT", "/collections/c", body).status == 200)
            let config = try #require(server.database.state.withLock { $0.collections["c"]?.config })
            let a = try #require(config.space(named: "a"))
            #expect((a.hnsw.m, a.hnsw.efConstruct, a.hnsw.exactScanRows) == (24, 50, 25_600))
            #expect(a.hasOwnHNSWConfig)
            #expect(config.space(named: "b")?.hasOwnHNSWConfig == false)
            #expect((config.virtualShards, config.physicalShards) == (32, 5))
            let text = try await server.send("GET", "/collections/c").resultText
            #expect(
                text.contains(
                    #""params":{"vectors":{"a":{"size":100,"distance":"Euclid","hnsw_config":{"m":24,"ef_construct":50,"full_scan_threshold":10000,"max_indexing_threads":0,"on_disk":false},"on_disk":true},"b":{"size":3,"distance":"Manhattan"}},"shard_number":5,"virtual_shards":32,"replication_factor":3,"write_consistency_factor":2,"on_disk_payload":false}"#
                ))
        }
    }

    @Test func codesAndDatatypesAreTakenAndEchoed() async throws {
        try await TestServer.run { server in
            let body = #"""
                {"vectors":{"a":{"size":4,"distance":"Dot","datatype":"float16","quantization_config":{"binary":{}}},
                "b":{"size":4,"distance":"Dot","datatype":"uint8","quantization_config":"Disabled"},
                "c":{"size":4,"distance":"Dot"}},
                "quantization_config":{"scalar":{"type":"int8","quantile":0.75,"always_ram":true}}}
                """#
            #expect(try await server.send("PUT", "/collections/c", body).status == 200)
            let config = try #require(server.database.state.withLock { $0.collections["c"]?.config })
            #expect(config.spaces.map(\.quantization) == [.binary, Quantization.none, .scalar])
            #expect(config.spaces.map(\.datatype) == [.float16, .uint8, .float32])
            let text = try await server.send("GET", "/collections/c").resultText
            for part in [
                #""a":{"size":4,"distance":"Dot","quantization_config":{"binary":{}},"datatype":"float16"}"#,
                #""b":{"size":4,"distance":"Dot","quantization_config":"Disabled","datatype":"uint8"}"#,
                #""c":{"size":4,"distance":"Dot"}"#,
                #","quantization_config":{"scalar":{"type":"int8","quantile":0.75,"always_ram":true}}},"#,
            ] { #expect(text.contains(part), "\(part) in \(text)") }
        }
    }

    @Test func payloadIndexesAreCreatedShownAndDropped() async throws {
        try await TestServer.run { server in
            try await server.fill()
            for body in [
                #"{"field_name":"n","field_schema":"integer"}"#,
                #"{"field_name":"a.b[].c","field_schema":{"type":"keyword","is_tenant":true,"on_disk":true}}"#,
                #"{"field_name":"t","field_schema":{"type":"text","tokenizer":"prefix","lowercase":false,"min_token_len":2,"max_token_len":9}}"#,
            ] {
                let answer = try await server.send("PUT", "/collections/c/index?wait=true", body)
                #expect(answer.resultText == #"{"operation_id":0,"status":"completed"}"#)
            }
            // Created all the same, and not said to be complete.
            server.database.state.withLock { $0.isIndexingSlow = true }
            for wait in ["?wait=true&timeout=1", "?wait=false", ""] {
                let answer = try await server.send(
                    "PUT", "/collections/c/index\(wait)", #"{"field_name":"n","field_schema":"integer"}"#)
                #expect(answer.resultText == #"{"operation_id":0,"status":"acknowledged"}"#)
            }
            let text = try await server.send("GET", "/collections/c").resultText
            #expect(
                text.contains(
                    #""payload_schema":{"a.b[].c":{"data_type":"keyword","points":10,"progress":0.5},"t":{"data_type":"text","params":{"type":"text","tokenizer":"prefix","lowercase":false,"min_token_len":2,"max_token_len":9},"points":10,"progress":0.5},"n":{"data_type":"integer","points":10,"progress":0.5}}"#
                ))
            #expect(try await server.send("DELETE", "/collections/c/index/a.b%5B%5D.c").status == 200)
            #expect(try await server.send("DELETE", "/collections/c/index/n").status == 200)
            let indexes = server.database.state.withLock { $0.collections["c"]?.config.payloadIndexes }
            #expect(indexes?.map(\.path.text) == ["t"])
        }
    }

    @Test func collectionsAreListedFoundAndDeleted() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let named = try await server.send(
                "PUT", "/collections/K%C3%A4se%20b", #"{"vectors":{"size":4,"distance":"Dot"}}"#)
            #expect(named.status == 200)
            #expect(
                try await server.send("GET", "/collections").resultText
                    == #"{"collections":[{"name":"Käse b"},{"name":"c"}]}"#)
            #expect(try await server.send("GET", "/collections/c/exists").resultText == #"{"exists":true}"#)
            #expect(try await server.send("GET", "/collections/d/exists").resultText == #"{"exists":false}"#)
            #expect(
                try await server.send("PUT", "/collections/c", #"{"vectors":{"size":4,"distance":"Dot"}}"#).status
                    == 409)
            #expect(try await server.send("GET", "/collections/d").status == 404)
            #expect(try await server.send("DELETE", "/collections/c").resultText == "true")
            #expect(try await server.send("DELETE", "/collections/c").resultText == "false")
        }
    }

    @Test func updatesOfTuningAreTakenAndOthersRefused() async throws {
        try await TestServer.run { server in
            try await server.fill()
            #expect(
                try await server.send("PATCH", "/collections/c", #"{"optimizers_config":{"indexing_threshold":1}}"#)
                    .resultText == "true")
            #expect(try await server.send("PATCH", "/collections/d", #"{"optimizers_config":{}}"#).status == 404)
            let refused = try await server.send("PATCH", "/collections/c", #"{"hnsw_config":{"m":8}}"#)
            #expect(refused.status == 400)
            #expect(refused.error.contains("hnsw_config"))
        }
    }
}
