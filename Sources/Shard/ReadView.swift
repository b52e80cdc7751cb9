internal import DataModel
internal import LMDB

/// The rows and deletions of one group commit, as a search sees them, and the guard of the memory that it reads.
///
/// Block tables are shared by all views and change under a reader's feet: a link block moves from the map to a heap copy
/// when it is written, and back when a checkpoint stored it. What a replaced pointer pointed at stays as long as any view
/// that was current then, or an earlier one: each view holds the next, and the view that is superseded takes the garbage.
final class ReadView: @unchecked Sendable {
    // Sendable: `next` and `garbage` are set once, by `supersede`, under the shard's lock; read in deinit alone.
    /// Rows of `points`; a search looks at no later ones.
    let slotCount: UInt32
    let pointCount: UInt64
    let position: LogPosition
    /// By space: rows without a vector there count as deleted. Behind the last space's, the rows that no point has.
    let deleted: [DeletedSet]
    /// The rows that no point has (any more).
    var dead: DeletedSet { deleted[deleted.count - 1] }
    /// Keeps the mapped link blocks; nil before the first checkpoint.
    let indexPin: PinnedRead?

    private var next: ReadView?
    private var garbage: [any Sendable] = []

    init(state: PointsState, deleted: [DeletedSet], indexPin: PinnedRead?) {
        slotCount = state.slotCount
        pointCount = state.pointCount
        position = state.position
        self.deleted = deleted
        self.indexPin = indexPin
    }

    init(after view: ReadView, indexPin: PinnedRead) {
        slotCount = view.slotCount
        pointCount = view.pointCount
        position = view.position
        deleted = view.deleted
        self.indexPin = indexPin
    }

    /// Hands over to `view`. `garbage` is what readers of this view, or of an earlier one, may still hold.
    func supersede(by view: ReadView, garbage: [any Sendable]) {
        precondition(next == nil)
        next = view
        self.garbage = garbage
    }

    deinit {
        // A search that ran long holds a chain of views: let go of it in a loop, not in nested deinits.
        var following = next
        next = nil
        while following != nil, isKnownUniquelyReferenced(&following) {
            following = following?.takeNext()
        }
    }

    private func takeNext() -> ReadView? {
        defer { next = nil }
        return next
    }
}
