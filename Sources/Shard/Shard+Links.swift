package import DataModel

/// What a replica that builds its graph wants to know of another one's.
package enum LinkNeed: Sendable, Equatable {
    /// Few rows wait; they are searched for.
    case nothing
    /// There is enough for now.
    case later
    case page(LinkRequest)
}

/// A replica's graph need not search for what another one of the same rows has found: of the time that an insertion takes
/// most goes into finding neighbours. Nothing depends on an answer; rows that wait for none for long are searched for.
extension Shard {
    /// Fewer waiting rows are searched for before an answer could come.
    package static let rowsWorthAskingFor = 128

    /// What to ask another replica for. Rows that are worth asking for wait for the answer, for a while.
    package func needLinks(holdingFor time: Duration) -> LinkNeed { generation.needLinks(holdingFor: time) }

    /// - Returns: false when the answer does not fit the request, or not any more.
    package func take(_ page: LinkPage, for request: LinkRequest) -> Bool { generation.take(page, for: request) }

    /// Searches for all that still waits.
    package func endFollowingLinks() { generation.endFollowing() }

    /// The answer to another replica; nil when its rows lie in other slots.
    package func links(_ request: LinkRequest) -> LinkPage? { generation.links(request) }
}
