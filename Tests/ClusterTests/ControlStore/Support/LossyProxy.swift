import Foundation
import Glibc
import Synchronization

/// Stands between a client and a server on loopback, hands every request on, and loses some of the answers: the
/// connection breaks in their place.
final class LossyProxy: Sendable {
    let port: UInt16
    private let listener: Int32
    private let answers = Atomic<Int>(0)
    /// Every so many answers one is lost; 0: none.
    private let period: Atomic<Int>
    private let lostAnswers = Atomic<Int>(0)
    private let isCut = Atomic<Bool>(false)

    init(to server: UInt16, losingOneAnswerIn period: Int) throws {
        self.period = Atomic(period)
        (listener, port) = try LoopbackSocket.listening()
        let listener = listener
        Thread.detachNewThread { [weak self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else {
                    close(listener)
                    return
                }
                guard let self, !self.isCut.load(ordering: .acquiring),
                    let upstream = LoopbackSocket.connected(to: server)
                else {
                    close(client)
                    continue
                }
                self.serve(client, upstream)
            }
        }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    var url: String { "http://127.0.0.1:\(port)" }
    var lost: Int { lostAnswers.load(ordering: .acquiring) }

    func stopLosing() { period.store(0, ordering: .releasing) }

    /// From now on nothing passes, but connections stay open, as when a machine loses its power.
    func freeze() { isCut.store(true, ordering: .releasing) }

    /// What was held back comes through.
    func thaw() { isCut.store(false, ordering: .releasing) }

    private func serve(_ client: Int32, _ upstream: Int32) {
        let pair = Pair(client: client, upstream: upstream)
        Thread.detachNewThread { self.pump(pair, from: client, to: upstream, losing: false) }
        Thread.detachNewThread { self.pump(pair, from: upstream, to: client, losing: true) }
    }

    /// Two sockets, closed when neither pump uses them any more: a number that is closed is another socket's at once.
    private final class Pair: Sendable {
        let client: Int32
        let upstream: Int32

        init(client: Int32, upstream: Int32) {
            self.client = client
            self.upstream = upstream
        }

        deinit {
            close(client)
            close(upstream)
        }
    }

    /// Both directions end together: whichever pump finds the end shuts both sockets down.
    private func pump(_ pair: Pair, from source: Int32, to target: Int32, losing: Bool) {
        defer { withExtendedLifetime(pair) {} }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(source, &buffer, buffer.count)
            guard count > 0 else { break }
            while isCut.load(ordering: .acquiring) { usleep(10_000) }
            if losing, isToBeLost() { break }
            guard send(target, buffer, count, Int32(MSG_NOSIGNAL)) == count else { break }
        }
        shutdown(source, Int32(SHUT_RDWR))
        shutdown(target, Int32(SHUT_RDWR))
    }

    private func isToBeLost() -> Bool {
        let period = period.load(ordering: .acquiring)
        guard period > 0 else { return false }
        let number = answers.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue
        guard number.isMultiple(of: period) else { return false }
        lostAnswers.wrappingAdd(1, ordering: .acquiringAndReleasing)
        return true
    }
}
