import DataModel

/// One read of one shard: asks its replicas one after another until one answers well, and a further one early when the
/// present one is slow.
struct ReplicaRace<Answer: Sendable>: Sendable {
    let preference: ReplicaPreference
    /// How many searches the read carries: scales what counts as slow.
    let units: Int
    let ask: @Sendable (NodeID) async throws(ShardError) -> Answer

    private enum Event: Sendable {
        case answered(NodeID, Result<Answer, ShardError>)
        /// The hedge delay after asking the newest node passed.
        case slow(asked: Int)
        /// The hedge delay after the last failure passed, with nobody left to ask.
        case waitedEnough
    }

    /// The first good answer; else the failure that is worth trying again after, if any was.
    ///
    /// - Parameter nodes: in the order to ask them; not empty.
    func run(_ nodes: [NodeID]) async -> Result<Answer, ShardError> {
        if nodes.count == 1 { return await attempt(nodes[0]) }
        return await withTaskGroup(of: Event.self) { group in
            var asked = 0
            var outstanding = 0
            var failure: ShardError?
            func askNext() {
                guard asked < nodes.count else { return }
                let node = nodes[asked]
                asked += 1
                outstanding += 1
                group.addTask { .answered(node, await attempt(node)) }
                guard asked < nodes.count else { return }
                let number = asked
                group.addTask { await self.wait(then: .slow(asked: number)) }
            }
            askNext()
            while outstanding > 0, let event = await group.next() {
                switch event {
                case .answered(_, .success(let answer)):
                    group.cancelAll()
                    return .success(answer)
                case .answered(_, .failure(let error)):
                    outstanding -= 1
                    if case .invalid = error {
                        group.cancelAll()
                        return .failure(error)
                    }
                    if failure?.isTransient != true { failure = error }
                    if asked == nodes.count, error.isTransient {
                        // Whoever is still to answer may be hung; the next shard map may know better.
                        group.addTask { await self.wait(then: .waitedEnough) }
                    }
                    askNext()
                case .slow(let number):
                    // Only when no failure has led to the next node since the timer was set.
                    guard number == asked, asked < nodes.count else { continue }
                    preference.avoid(nodes[asked - 1])
                    askNext()
                case .waitedEnough:
                    group.cancelAll()
                    return .failure(failure ?? .deadlineExceeded)
                }
            }
            group.cancelAll()
            return .failure(failure ?? .deadlineExceeded)
        }
    }

    private func wait(then event: Event) async -> Event {
        try? await Task.sleep(for: preference.hedgeDelay(units: units))
        return event
    }

    private func attempt(_ node: NodeID) async -> Result<Answer, ShardError> {
        preference.began(node)
        defer { preference.ended(node) }
        let start = ContinuousClock.now
        do throws(ShardError) {
            let answer = try await ask(node)
            preference.answered(in: ContinuousClock.now - start, units: units)
            return .success(answer)
        } catch {
            if error.isTransient || error.isDamage { preference.avoid(node) }
            return .failure(error)
        }
    }
}
