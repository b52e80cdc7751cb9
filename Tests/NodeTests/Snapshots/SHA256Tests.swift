import CSHA256
import Testing

/// The digests of FIPS 180-4's examples, and data in pieces of all sizes.
@Suite struct SHA256Tests {
    private func digest(_ bytes: [UInt8], pieces: Int) -> String {
        var state = shoal_sha256()
        shoal_sha256_init(&state)
        bytes.withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: pieces) {
                let piece = bytes[start..<min(start + pieces, bytes.count)]
                shoal_sha256_update(&state, UnsafeRawBufferPointer(rebasing: piece).baseAddress, piece.count)
            }
        }
        var result = [UInt8](repeating: 0, count: 32)
        shoal_sha256_final(&state, &result)
        return result.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test func theStandardsExamplesHaveTheirDigests() {
        let examples = [
            "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq":
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ]
        for (text, expected) in examples {
            #expect(digest(Array(text.utf8), pieces: 7) == expected)
            #expect(digest(Array(text.utf8), pieces: 64) == expected)
        }
        let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(
            digest(million, pieces: 4_096)
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func thePiecesDoNotMatter() {
        for count in [1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 1_000, 70_001] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 167 >> 2) }
            let whole = digest(bytes, pieces: count)
            for pieces in [1, 63, 64, 65, 1_000] {
                #expect(digest(bytes, pieces: pieces) == whole, "\(count) bytes in \(pieces)")
            }
        }
    }
}
