import DataModel

/// One read of one shard: asks its replicas one after another until as many answered well as are needed, and a further
/// one early when the newest is slow.
struct ReplicaRace<Answer: Sendable>: Sendable {
    let preference: ReplicaPreference
    let metrics: CoordinatorMetrics
    let kind: ReadKind
    let ask: @Sendable (NodeID) async throws(ShardError) -> Answer

    private enum Event: Sendable {
        case answered(NodeID, Result<Answer, ShardError>)
        /// A time after asking the newest node passed: the hedge delay, or so long that it hangs.
        case slow(asked: Int, hangs: Bool)
        /// The hedge delay after the last failure passed, with nobody left to ask.
        case waitedEnough
    }

    /// The first good answers, `needed` of them; else the failure that is worth trying again after, if any was.
    ///
    /// - Parameters:
    ///   - nodes: in the order to ask them; at least `needed`.
    ///   - asked: how many are asked at once.
    func run(_ nodes: [NodeID], needed: Int = 1, asked first: Int = 1) async -> Result<[Answer], ShardError> {
        preference.earnHedge()
        if nodes.count == 1 { return await attempt(nodes[0]).map { [$0] } }
        return await withTaskGroup(of: Event.self) { group in
            var asked = 0
            var pending: [NodeID] = []
            var hedges: [NodeID: NodeID] = [:]
            var answers: [Answer] = []
            var failure: ShardError?
            func askNext() {
                guard asked < nodes.count else { return }
                let node = nodes[asked]
                asked += 1
                pending.append(node)
                group.addTask { .answered(node, await attempt(node)) }
                guard asked >= first, asked < nodes.count else { return }
                let number = asked
                let delay = preference.hedgeDelay(node, kind)
                group.addTask { await self.wait(delay, then: .slow(asked: number, hangs: false)) }
            }
            for _ in 0..<max(first, needed) { askNext() }
            while !pending.isEmpty, let event = await group.next() {
                switch event {
                case .answered(let node, .success(let answer)):
                    pending.removeAll { $0 == node }
                    answers.append(answer)
                    if let slow = hedges.removeValue(forKey: node) { won(over: slow) }
                    hedges = hedges.filter { $0.value != node }
                    guard answers.count == needed else { continue }
                    group.cancelAll()
                    return .success(answers)
                case .answered(let node, .failure(let error)):
                    pending.removeAll { $0 == node }
                    hedges[node] = nil
                    if case .invalid = error {
                        group.cancelAll()
                        return .failure(error)
                    }
                    if failure?.isTransient != true { failure = error }
                    if answers.count + pending.count + nodes.count - asked < needed {
                        group.cancelAll()
                        return .failure(failure ?? error)
                    }
                    if asked == nodes.count, error.isTransient {
                        // Whoever is still to answer may be hung; the next shard map may know better.
                        let delay = preference.hedgeDelay(node, kind) * 4
                        group.addTask { await self.wait(delay, then: .waitedEnough) }
                    }
                    askNext()
                case .slow(let number, let hangs):
                    // Only when no failure has led to the next node since the timer was set.
                    guard number == asked, asked < nodes.count else { continue }
                    let slow = pending[0]
                    guard hangs || preference.spendHedge() else {
                        let delay = preference.silence(after: preference.hedgeDelay(slow, kind))
                        group.addTask { await self.wait(delay, then: .slow(asked: number, hangs: true)) }
                        continue
                    }
                    if hangs { preference.avoid(slow) }
                    metrics.countHedge()
                    hedges[nodes[asked]] = slow
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

    private func won(over slow: NodeID) {
        metrics.countWonHedge()
        preference.lost(slow)
    }

    private func wait(_ delay: Duration, then event: Event) async -> Event {
        try? await Task.sleep(for: delay)
        return event
    }

    private func attempt(_ node: NodeID) async -> Result<Answer, ShardError> {
        preference.began(node)
        defer { preference.ended(node) }
        let start = ContinuousClock.now
        do throws(ShardError) {
            let answer = try await ask(node)
            preference.answered(node, kind, in: ContinuousClock.now - start)
            return .success(answer)
        } catch {
            if Task.isCancelled {
                preference.gaveUp(node, kind, after: ContinuousClock.now - start)
            } else if error.isTransient || error.isDamage {
                preference.avoid(node)
            }
            return .failure(error)
        }
    }
}
