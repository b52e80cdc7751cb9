import Node
import Testing

@Suite struct TransferPaceTests {
    @Test(arguments: [1_024, 100_000, 1 << 20, 50 << 20]) func aPacedTransferSendsWhatItMay(rate: Int) {
        var pace = TransferPace(bytesPerSecond: UInt64(rate))
        let chunk = pace.chunkBytes(atMost: 1 << 20)
        #expect((1_024...(1 << 20)).contains(chunk))
        var elapsed = Duration.zero
        var sent = 0
        while elapsed < .seconds(20) {
            sent += chunk
            // Sending takes time of its own, which is not waited for once more.
            elapsed += .milliseconds(1)
            elapsed += pace.pause(after: chunk, elapsed: elapsed)
        }
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        let reached = Double(sent) / seconds
        #expect(reached <= Double(rate) * 1.001)
        // A chunk each millisecond is the most that this one sends.
        #expect(reached >= min(Double(rate), Double(chunk) * 1_000) * 0.99)
    }

    @Test func withoutALimitNothingWaits() {
        var pace = TransferPace(bytesPerSecond: nil)
        #expect(pace.chunkBytes(atMost: 1 << 20) == 1 << 20)
        let pause = pace.pause(after: 1 << 30, elapsed: .zero)
        #expect(pause == .zero)
    }

    @Test func searchingIsMeasuredOverTheLastMinute() {
        var load = SearchLoad(atSeconds: 100)
        let fresh = load.microsecondsPerSecond(atSeconds: 100)
        #expect(fresh == 0)
        for second in 100..<UInt64(400) { load.add(microseconds: 250_000, atSeconds: second) }
        let busy = load.microsecondsPerSecond(atSeconds: 400)
        #expect((220_000...260_000).contains(busy), "\(busy)")
        let later = load.microsecondsPerSecond(atSeconds: 430)
        #expect((100_000...150_000).contains(later), "\(later)")
        let idle = load.microsecondsPerSecond(atSeconds: 470)
        #expect(idle == 0)
        load.add(microseconds: 60, atSeconds: 1_000_000)
        let again = load.microsecondsPerSecond(atSeconds: 1_000_000)
        #expect(again == 1)
    }
}
