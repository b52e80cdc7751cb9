// swift-tools-version: 6.2
import PackageDescription

// CI sets SHOAL_STRICT so that a warning cannot land; a newer compiler's warnings do not stop users.
let strict = Context.environment["SHOAL_STRICT"] != nil

let swiftSettings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOFoundationCompat", package: "swift-nio"),
]
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

func target(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

let package = Package(
    name: "shoal",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "shoal", targets: ["shoal"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // C: the system's libraries and the kernels.
        .target(name: "CLMDB", linkerSettings: [.linkedLibrary("lmdb")]),
        .target(name: "CXXHash"),
        .target(name: "CSHA256", linkerSettings: [.linkedLibrary("crypto")]),
        .target(name: "CSimdJSON", linkerSettings: [.linkedLibrary("simdjson")]),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),

        // Swift, from the bottom up; a target sees only what stands above it here.
        target("DataModel", ["CXXHash"]),
        target("LMDB", ["CLMDB"]),
        target("VectorIndex", ["CKernels", "DataModel"]),
        target("Shard", ["DataModel", "LMDB", "VectorIndex", "CXXHash", "CSimdJSON", logging]),
        target(
            "Cluster",
            [
                "DataModel", "LMDB", "CLMDB", logging,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ] + nio),
        target("RPC", ["DataModel", "CXXHash", logging] + nio),
        target("Coordinator", ["DataModel", "Cluster", "RPC", logging, metrics]),
        target(
            "Node",
            [
                "DataModel", "Shard", "Cluster", "RPC", "Coordinator", "CXXHash", "CSHA256", logging, metrics, lifecycle,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ] + nio),
        target(
            "HTTPAPI",
            [
                "DataModel", "Coordinator", "CSimdJSON", logging, metrics,
                .product(name: "Hummingbird", package: "hummingbird"),
            ] + nio),
        .executableTarget(
            name: "shoal",
            dependencies: [
                "Node", "HTTPAPI", "Coordinator", "Cluster", "RPC", "Shard", "DataModel", logging, metrics, lifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ] + nio,
            swiftSettings: swiftSettings),

        // Not a product that users get: a peer of Benchmarks/index/compare.py.
        .executableTarget(
            name: "index-benchmark", dependencies: ["VectorIndex", "Shard", "DataModel", logging],
            path: "Benchmarks/index",
            exclude: ["compare.py", "peer.py"], swiftSettings: swiftSettings),

        tests("DataModelTests", ["DataModel"]),
        tests("LMDBTests", ["LMDB"]),
        tests("VectorIndexTests", ["VectorIndex", "CKernels", "DataModel"]),
        tests("ShardTests", ["Shard", "LMDB", "VectorIndex", "DataModel"]),
        tests("ClusterTests", ["Cluster", "DataModel", logging]),
        tests("RPCTests", ["RPC", "DataModel", logging] + nio),
        tests("SimulationTests", ["Cluster", "DataModel"]),
        tests("CoordinatorTests", ["Coordinator", "Cluster", "DataModel", logging]),
        tests("NodeTests", ["Node", "CSHA256", "Shard", "Coordinator", "Cluster", "DataModel", logging]),
        tests("HTTPAPITests", ["HTTPAPI", "Coordinator", "CSimdJSON", "DataModel", logging, lifecycle] + nio),
        tests("shoalTests", ["shoal", "Coordinator", "Cluster", "Shard", "DataModel", metrics]),
    ],
    cLanguageStandard: .c17,
    cxxLanguageStandard: .cxx17
)
