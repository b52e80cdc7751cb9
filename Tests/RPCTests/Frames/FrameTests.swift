import DataModel
import NIOCore
import RPC
import Testing

@Suite struct FrameTests {
    private func randomFrame(_ random: inout SeededGenerator) -> Frame {
        let kinds: [Frame.Kind] = [.hello, .welcome, .refusal, .request, .response, .failure, .cancel, .ping, .pong]
        let body = random.bytes(random.bool() ? random.int(0...40) : random.int(0...5_000))
        return Frame(
            kind: kinds[random.int(0...8)], method: UInt8(random.int(0...255)),
            remainingMicroseconds: UInt32(truncatingIfNeeded: random.next()), id: random.next(),
            body: ByteBuffer(bytes: body))
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func framesSurviveAnyFragmentation(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let frames = random.array(1...30) { randomFrame(&$0) }
        var stream = ByteBuffer()
        for frame in frames { stream.writeImmutableBuffer(frame.encoded()) }
        var decoder = FrameDecoder(limitBytes: RPCLimits.frameBytes)
        var decoded: [Frame] = []
        while stream.readableBytes > 0 {
            let longest = random.bool() ? 12 : 9_000
            let count = min(random.int(1...longest), stream.readableBytes)
            let piece = stream.readSlice(length: count)
            decoder.append(try #require(piece))
            while let frame = try decoder.next() { decoded.append(frame) }
        }
        // Bodies were kept while the decoder went on: what came later must not have changed them.
        #expect(decoded == frames)
        let frame = try decoder.next()
        #expect(frame == nil)
    }

    @Test func everyFlippedBitIsNoticed() throws {
        let frame = Frame(kind: .request, method: 3, remainingMicroseconds: 9, id: 77, body: ByteBuffer(string: "body"))
        let bytes = Array(frame.encoded().readableBytesView)
        for index in bytes.indices {
            for bit in 0..<8 as Range<UInt8> {
                var damaged = bytes
                damaged[index] ^= 1 << bit
                var decoder = FrameDecoder(limitBytes: RPCLimits.frameBytes)
                decoder.append(ByteBuffer(bytes: damaged))
                do throws(FrameError) {
                    // A longer length makes the decoder wait for bytes; then the checksum tells.
                    let frame = try decoder.next()
                    #expect(frame == nil)
                    #expect(index < 4)
                } catch {}
            }
        }
    }

    @Test func longFramesAreRefusedBeforeTheirBodyComes() throws {
        var decoder = FrameDecoder(limitBytes: 1_000)
        decoder.append(ByteBuffer(integer: UInt32.max, endianness: .little))
        #expect(throws: FrameError.tooLong(bytes: Int(UInt32.max) + 12, limit: 1_000)) { try decoder.next() }
    }

    @Test func framesShorterThanTheirHeaderAreRefused() throws {
        for length in 0..<16 as Range<UInt32> {
            var decoder = FrameDecoder(limitBytes: 1_000)
            decoder.append(ByteBuffer(integer: length, endianness: .little))
            #expect(throws: FrameError.tooShort(bytes: Int(length) + 12)) { try decoder.next() }
        }
    }

    @Test func truncatedFramesAreWaitedFor() throws {
        let bytes = Frame(kind: .ping, id: 5).encoded()
        for count in 0..<bytes.readableBytes {
            var decoder = FrameDecoder(limitBytes: 1_000)
            decoder.append(try #require(bytes.getSlice(at: bytes.readerIndex, length: count)))
            let frame = try decoder.next()
            #expect(frame == nil)
        }
    }

    @Test func greetingsSurviveTheWire() throws {
        let hello = Hello(client: NodeIdentity(cluster: "größe", node: NodeID(9)), expectedNode: NodeID(4))
        #expect(try Hello(decoding: hello.encoded()) == hello)
        let welcome = Welcome(server: NodeIdentity(cluster: "", node: NodeID(.max)))
        #expect(try Welcome(decoding: welcome.encoded()) == welcome)
        #expect(throws: BinaryFormatError.self) { try Hello(decoding: Array("GET / HTTP/1.1\r\n\r\n".utf8)) }
    }
}
