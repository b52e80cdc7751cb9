internal import DataModel
internal import Synchronization
internal import VectorIndex

/// What another replica's graph tells of the rows of a space that wait for this one's.
struct FollowedLinks {
    /// Of consecutive rows.
    var pages: [LinkPage] = []
    /// Until then rows wait for a page that has them.
    var heldUntil: ContinuousClock.Instant?
}

extension ShardGeneration {
    private static let rowsPerPage = 512
    /// With so many rows of pages at hand the next page is asked for.
    private static let rowsAhead = 256

    /// Which rows of a space may be put into the graph now.
    ///
    /// - Returns: the slot behind the last of them, and the links of the next one, where they are known.
    func indexableRows(of space: Int, slots: UInt32) -> (limit: UInt32, known: LinkPage?) {
        followed.withLock { followed in
            let links = followed[space]
            let next = graphs[space].claimedCount
            let known = links.pages.first { $0.end > next }
            guard let heldUntil = links.heldUntil, heldUntil > .now else { return (slots, known) }
            return (min(slots, links.pages.last?.end ?? 0), known)
        }
    }

    /// Holds rows back that are worth asking another replica for.
    func needLinks(holdingFor time: Duration) -> LinkNeed {
        let (slots, layout) = current.withLock { ($0.view.slotCount, $0.layout) }
        return followed.withLock { followed in
            var need = LinkNeed.nothing
            for space in graphs.indices {
                let next = graphs[space].claimedCount
                followed[space].pages.removeAll { $0.end <= next }
                let first = max(next, followed[space].pages.last?.end ?? 0)
                guard slots >= first, Int(slots - first) >= Shard.rowsWorthAskingFor else {
                    followed[space].heldUntil = nil
                    continue
                }
                followed[space].heldUntil = .now + time
                if Int(first - next) > Self.rowsAhead {
                    if need == .nothing { need = .later }
                } else {
                    need = .page(
                        LinkRequest(
                            layout: layout.rawValue, space: UInt16(space), first: first,
                            maximumRows: min(slots - first, UInt32(Self.rowsPerPage))))
                }
            }
            return need
        }
    }

    /// Takes in an answer; one that does not fit any more is passed over.
    func take(_ page: LinkPage, for request: LinkRequest) {
        let (slots, layout) = current.withLock { ($0.view.slotCount, $0.layout) }
        let space = Int(request.space)
        guard layout.rawValue == request.layout, page.first == request.first, page.end <= slots else { return }
        followed.withLock { followed in
            let end = followed[space].pages.last?.end
            if end == nil || end == page.first { followed[space].pages.append(page) }
        }
        indexing.submit(self)
    }

    /// No row waits for links any more.
    func endFollowing() {
        followed.withLock { followed in
            for space in followed.indices { followed[space] = FollowedLinks() }
        }
        indexing.submit(self)
    }

    /// What another replica asks for; nil when its rows lie in other slots.
    func links(_ request: LinkRequest) -> LinkPage? {
        let layout = current.withLock { $0.layout }
        guard layout.rawValue == request.layout, Int(request.space) < graphs.count else { return nil }
        let view = view
        // The view keeps the blocks that the links are read from.
        return withExtendedLifetime(view) {
            graphs[Int(request.space)].earlierLinks(
                from: request.first, maximumRows: min(Int(request.maximumRows), Self.rowsPerPage))
        }
    }
}
