import Foundation

/// The messages of etcd's v3 API as its gRPC-JSON gateway takes and gives them: bytes in base64, 64-bit numbers as
/// strings, fields with default values left out.
enum Etcd {
    /// A 64-bit number.
    struct Number: Codable, Sendable, Equatable {
        var value: UInt64

        init(_ value: UInt64) { self.value = value }

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                guard let value = UInt64(text) ?? Int64(text).map({ UInt64(bitPattern: $0) }) else {
                    throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) is no number")
                }
                self.value = value
            } else {
                value = try container.decode(UInt64.self)
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(String(value))
        }
    }

    struct Header: Decodable, Sendable {
        var clusterID: Number?
        var revision: Number?
        var raftTerm: Number?

        enum CodingKeys: String, CodingKey {
            case revision
            case clusterID = "cluster_id"
            case raftTerm = "raft_term"
        }
    }

    /// An answer that only says where etcd stands; every answer does.
    struct Acknowledgement: Decodable, Sendable {
        var header: Header
    }

    // MARK: - Keys

    struct KeyValue: Decodable, Sendable {
        var key: Data
        var value: Data?
        var modRevision: Number?
        var lease: Number?

        enum CodingKeys: String, CodingKey {
            case key, value, lease
            case modRevision = "mod_revision"
        }
    }

    struct RangeRequest: Encodable, Sendable {
        var key: Data
        var rangeEnd: Data?
        var limit: Number?
        var revision: Number?
        var countOnly: Bool?

        enum CodingKeys: String, CodingKey {
            case key, limit, revision
            case rangeEnd = "range_end"
            case countOnly = "count_only"
        }
    }

    struct RangeResponse: Decodable, Sendable {
        var header: Header
        var kvs: [KeyValue]?
        var more: Bool?
    }

    struct PutRequest: Encodable, Sendable {
        var key: Data
        var value: Data
        var lease: Number?
    }

    struct DeleteRangeRequest: Encodable, Sendable {
        var key: Data
    }

    // MARK: - Transactions

    struct Compare: Encodable, Sendable {
        var key: Data
        var target = "MOD"
        var result = "EQUAL"
        /// 0: the key does not exist.
        var modRevision: Number

        enum CodingKeys: String, CodingKey {
            case key, target, result
            case modRevision = "mod_revision"
        }
    }

    struct RequestOperation: Encodable, Sendable {
        var put: PutRequest?
        var deleteRange: DeleteRangeRequest?
        var range: RangeRequest?

        enum CodingKeys: String, CodingKey {
            case put = "request_put"
            case deleteRange = "request_delete_range"
            case range = "request_range"
        }
    }

    struct TransactionRequest: Encodable, Sendable {
        var compare: [Compare]
        var success: [RequestOperation]
        var failure: [RequestOperation]
    }

    struct TransactionResponse: Decodable, Sendable {
        struct Operation: Decodable, Sendable {
            struct Range: Decodable, Sendable { var kvs: [KeyValue]? }
            var range: Range?

            enum CodingKeys: String, CodingKey { case range = "response_range" }
        }

        var header: Header
        var succeeded: Bool?
        var responses: [Operation]?
    }

    // MARK: - Leases

    struct LeaseGrantRequest: Encodable, Sendable {
        var seconds: Number
        var id: Number

        enum CodingKeys: String, CodingKey {
            case seconds = "TTL"
            case id = "ID"
        }
    }

    struct LeaseRequest: Encodable, Sendable {
        var id: Number

        enum CodingKeys: String, CodingKey { case id = "ID" }
    }

    struct LeaseResponse: Decodable, Sendable {
        var header: Header
        /// What is left of its time, in seconds; 0 or left out when the lease is gone, -1 likewise.
        var seconds: Number?

        enum CodingKeys: String, CodingKey {
            case header
            case seconds = "TTL"
        }

        var isAlive: Bool { (seconds?.value).map { Int64(bitPattern: $0) > 0 } ?? false }
    }

    // MARK: - Watches

    struct WatchRequest: Encodable, Sendable {
        struct Create: Encodable, Sendable {
            var key: Data
            var rangeEnd: Data
            var startRevision: Number
            var progressNotify = true

            enum CodingKeys: String, CodingKey {
                case key
                case rangeEnd = "range_end"
                case startRevision = "start_revision"
                case progressNotify = "progress_notify"
            }
        }

        var create: Create

        enum CodingKeys: String, CodingKey { case create = "create_request" }
    }

    struct WatchResponse: Decodable, Sendable {
        struct Event: Decodable, Sendable {
            /// `DELETE`; a put when it is left out.
            var type: String?
            var kv: KeyValue
        }

        var header: Header
        var created: Bool?
        var canceled: Bool?
        var cancelReason: String?
        var compactRevision: Number?
        var events: [Event]?

        enum CodingKeys: String, CodingKey {
            case header, created, canceled, events
            case cancelReason = "cancel_reason"
            case compactRevision = "compact_revision"
        }
    }

    // MARK: - Streams and errors

    /// A line of a streamed answer.
    struct Streamed<Result: Decodable & Sendable>: Decodable, Sendable {
        var result: Result
    }

    struct AuthenticateRequest: Encodable, Sendable {
        var name: String
        var password: String
    }

    struct AuthenticateResponse: Decodable, Sendable {
        var token: String
    }

    /// An error, in the form that single answers have or in that of streams.
    struct Failure: Decodable, Sendable {
        struct Detail: Decodable, Sendable {
            var code: Int?
            var message: String?

            enum CodingKeys: String, CodingKey {
                case message
                case code = "grpc_code"
            }
        }

        var code: Int
        var message: String

        enum CodingKeys: String, CodingKey { case error, code, message }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            if let detail = try? container.decode(Detail.self, forKey: .error) {
                (code, message) = (detail.code ?? 2, detail.message ?? "an error without a message")
            } else {
                code = try container.decode(Int.self, forKey: .code)
                message = try container.decode(String.self, forKey: .message)
            }
        }
    }
}
