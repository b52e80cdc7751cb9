/// What a supervisor does about one node: pure decisions, told the time.
package struct NodeSupervision: Sendable {
    package enum Exit: Sendable, Equatable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)
        /// Of a process that an earlier supervisor started: only its parent learns how it ended.
        case unknown

        package var description: String {
            switch self {
            case .code(let code): "exited with code \(code)"
            case .signal(let number): "was ended by signal \(number)"
            case .unknown: "is gone"
            }
        }
    }

    package enum Phase: Sendable, Equatable {
        case running(since: ContinuousClock.Instant)
        case waiting(until: ContinuousClock.Instant)
        /// Until an operator does something.
        case down
    }

    package enum Action: Sendable, Equatable {
        case start
    }

    package let restarts: Bool
    package private(set) var phase: Phase
    /// Starts after the first.
    package private(set) var restartCount = 0
    /// What happened last, for people.
    package private(set) var detail = ""
    private var policy = RestartPolicy()
    private var starts = 1

    /// A node that was just started, or found running.
    package init(restarts: Bool, now: ContinuousClock.Instant) {
        self.restarts = restarts
        phase = .running(since: now)
    }

    package mutating func exited(_ exit: Exit, now: ContinuousClock.Instant) {
        guard case .running(let since) = phase else { return }
        detail = "the node \(exit)"
        // The node says itself that trying again is no use: settings, a foreign data folder. Once it has run, a port
        // that is taken may be free again.
        let isHopeless = exit == .code(2) && starts == 1
        guard restarts, !isHopeless else {
            phase = .down
            return
        }
        let delay = policy.delay(afterUptime: since.duration(to: now))
        detail += "; started again after \(Quantities.text(delay))"
        phase = .waiting(until: now + delay)
    }

    /// The supervisor ends and takes the node along.
    package mutating func stop() { phase = .down }

    /// A start that failed counts like an exit at once.
    package mutating func failedToStart(_ reason: String, now: ContinuousClock.Instant) {
        phase = .running(since: now)
        exited(.unknown, now: now)
        detail = reason
    }

    /// Called again and again; each `.start` is answered by starting the process.
    package mutating func tick(now: ContinuousClock.Instant) -> Action? {
        guard case .waiting(let until) = phase, until <= now else { return nil }
        phase = .running(since: now)
        starts += 1
        restartCount += 1
        return .start
    }
}
