import Foundation
import Testing
import VectorIndex

struct ReadAheadTests {
    /// Whether a use that takes `seconds` asked for its rows.
    private func asks(_ readAhead: ReadAhead, seconds: Double = 0) -> Bool {
        var asked = false
        readAhead.use(count: 1, { _ in asked = true }) { if seconds > 0 { Thread.sleep(forTimeInterval: seconds) } }
        return asked
    }

    @Test func rowsAreAskedForAfterAUseThatWaitedUntilOneDoesNot() {
        let readAhead = ReadAhead()
        #expect(!asks(readAhead, seconds: 0.002))
        #expect(asks(readAhead, seconds: 0.002))
        // Any use may lose its core for a while; not all of them do.
        #expect((0..<1_000).contains { _ in !asks(readAhead) })
    }

    @Test func whateverIsAskedForIsLeftAsItIs() {
        var bytes: [UInt8] = [1, 2, 3]
        bytes.withUnsafeMutableBytes { buffer in
            ReadAhead.ask(for: buffer.baseAddress, byteCount: buffer.count)
            ReadAhead.ask(for: nil, byteCount: 8)
            // Nothing is mapped there.
            ReadAhead.ask(for: UnsafeRawPointer(bitPattern: 4_096), byteCount: 8)
        }
        #expect(bytes == [1, 2, 3])
    }
}
