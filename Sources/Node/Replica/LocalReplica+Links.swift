import Cluster
import DataModel
import Logging
import Shard
import Synchronization

/// A backup's graph takes over what the primary's has found. It only makes indexing cheaper: whatever goes wrong, the rows
/// are indexed without.
extension LocalReplica {
    /// Rows wait for an answer no longer; a primary that indexes nothing is asked again for so long.
    private static let linkPatience: Duration = .seconds(1)
    /// While the primary indexes the next rows itself.
    private static let linkPoll: Duration = .milliseconds(20)
    /// After a primary was of no help; twice as long when it was not again, up to `layoutPause`.
    private static let linkPause: Duration = .seconds(1)
    /// After rows were found to lie in other slots, which seldom changes.
    private static let layoutPause: Duration = .seconds(60)

    func links(_ request: LinkRequest, context: RequestContext) async throws(ShardError) -> LinkPage? {
        try shard().links(request)
    }

    /// Begins to ask the primary when many rows wait. To be called after writes came in.
    func followLinksIfBehind(_ shard: Shard) {
        guard shard.unindexedRows >= Shard.rowsWorthAskingFor else { return }
        let begins = state.withLock { state in
            guard !state.isFollowingLinks, state.linksWantedFrom <= .now else { return false }
            state.isFollowingLinks = true
            return true
        }
        guard begins else { return }
        Task {
            let outcome = await followLinks()
            (try? self.shard())?.endFollowingLinks()
            state.withLock { state in
                state.isFollowingLinks = false
                state.linkPause =
                    switch outcome {
                    case .done: .zero
                    case .noHelp: min(max(Self.linkPause, state.linkPause * 2), Self.layoutPause)
                    case .otherLayout: Self.layoutPause
                    }
                state.linksWantedFrom = .now + state.linkPause
            }
        }
    }

    private enum LinkOutcome {
        case done
        /// The primary does not answer, or its graph is not ahead of this one.
        case noHelp
        case otherLayout
    }

    private func followLinks() async -> LinkOutcome {
        var lastPage = ContinuousClock.now
        while let need = (try? shard())?.needLinks(holdingFor: Self.linkPatience), need != .nothing {
            if case .page(let request) = need {
                do throws(ShardError) {
                    guard let page = try await ask(request) else { return .otherLayout }
                    if page.rowCount > 0 {
                        guard try shard().take(page, for: request) else { return .noHelp }
                        lastPage = .now
                    }
                    if page.rowCount == Int(request.maximumRows) { continue }
                } catch {
                    return .noHelp
                }
                guard .now - lastPage < Self.linkPatience else { return .noHelp }
            }
            guard (try? await Task.sleep(for: Self.linkPoll)) != nil else { return .done }
        }
        return .done
    }

    private func ask(_ request: LinkRequest) async throws(ShardError) -> LinkPage? {
        guard let record = environment.cache.current.shard(id)?.value else { throw .notHosted(id) }
        guard record.primary != node else { throw .notPrimary }
        let context = RequestContext(epoch: record.epoch, deadline: .after(Self.linkPatience))
        return try await environment.primary.backup(id, record.primary).links(request, context: context)
    }
}
