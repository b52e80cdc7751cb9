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
    /// - Returns: the slot behind the last of them, and what is known of their links.
    func indexableRows(of space: Int, slots: UInt32) -> (limit: UInt32, known: [LinkPage]) {
        let links = followed.withLock { $0[space] }
        // With so many that writers would wait, none is held back.
        let isFull = Int(slots) - Int(min(slots, graphs[space].count)) >= options.maximumUnindexedRows
        guard !isFull, let heldUntil = links.heldUntil, heldUntil > .now else { return (slots, links.pages) }
        return (min(slots, links.pages.last?.end ?? 0), links.pages)
    }

    /// Holds rows back that are worth asking another replica for.
    func needLinks(holdingFor time: Duration) -> LinkNeed {
        let (slots, layout) = current.withLock { ($0.view.slotCount, $0.layout) }
        return followed.withLock { followed in
            var need = LinkNeed.nothing
            // The space that is furthest behind comes first.
            var wanted: LinkRequest?
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
                    need = .later
                } else if first < wanted?.first ?? .max {
                    wanted = LinkRequest(
                        layout: layout.rawValue, space: UInt16(space), first: first,
                        maximumRows: min(slots - first, UInt32(Self.rowsPerPage)))
                }
            }
            return wanted.map { .page($0) } ?? need
        }
    }

    /// Takes in an answer.
    ///
    /// - Returns: false when it does not fit, or not any more.
    func take(_ page: LinkPage, for request: LinkRequest) -> Bool {
        let (slots, layout) = current.withLock { ($0.view.slotCount, $0.layout) }
        let space = Int(request.space)
        guard layout.rawValue == request.layout, page.first == request.first, page.end <= slots,
            page.rowCount <= Self.rowsPerPage
        else { return false }
        let fits = followed.withLock { followed in
            guard followed[space].pages.last.map({ $0.end == page.first }) ?? true else { return false }
            followed[space].pages.append(page)
            return true
        }
        if fits { indexing.submit(self) }
        return fits
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
